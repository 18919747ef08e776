-- Traces with their spans and judgements, and uploads that come in parts.
CREATE TABLE traces (
  id {serial},
  uuid TEXT NOT NULL UNIQUE,
  experiment BIGINT NOT NULL REFERENCES experiments (id),
  start_ms BIGINT NOT NULL,
  duration_ms BIGINT,
  state TEXT NOT NULL,
  client_id TEXT NOT NULL,
  finished SMALLINT NOT NULL,
  document TEXT NOT NULL
);
CREATE INDEX traces_newest ON traces (experiment, start_ms DESC, uuid);
-- Tags ("t:owner") and metadata ("m:mlflow.sourceRun") once more, one row each, to search by.
CREATE TABLE trace_terms (
  trace BIGINT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (trace, name)
){clustered};
-- PostgreSQL refuses index entries over 2704 bytes, so values are indexed by their beginning.
CREATE INDEX trace_terms_by_value ON trace_terms (name, substr(value, 1, 64), trace);
-- What a trace was tied to afterwards: runs ("run:ID") and prompts ("prompt:NAME/VERSION").
CREATE TABLE trace_links (
  target TEXT NOT NULL,
  trace BIGINT NOT NULL,
  PRIMARY KEY (target, trace)
){clustered};
CREATE INDEX trace_links_by_trace ON trace_links (trace);
CREATE TABLE spans (
  trace BIGINT NOT NULL,
  span TEXT NOT NULL,
  name TEXT NOT NULL,
  type TEXT NOT NULL,
  status TEXT NOT NULL,
  start_ns BIGINT NOT NULL,
  end_ns BIGINT NOT NULL,
  attributes TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (trace, span)
){clustered};
CREATE TABLE assessments (
  trace BIGINT NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  number DOUBLE PRECISION,
  created_ms BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (trace, id)
){clustered};
CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  path TEXT NOT NULL,
  parts BIGINT NOT NULL,
  touched_ms BIGINT NOT NULL,
  done TEXT NOT NULL
);
CREATE TABLE upload_parts (
  upload TEXT NOT NULL,
  number BIGINT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  PRIMARY KEY (upload, number)
){clustered};
