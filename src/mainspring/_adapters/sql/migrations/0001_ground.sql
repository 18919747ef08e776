-- The record, the queue and the settings of a workspace.
CREATE TABLE events (
  sequence BIGINT PRIMARY KEY,
  time_micros BIGINT NOT NULL,
  recorded_micros BIGINT NOT NULL,
  actor TEXT NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  facts TEXT NOT NULL,
  used TEXT NOT NULL,
  generated TEXT NOT NULL,
  previous TEXT NOT NULL,
  digest TEXT NOT NULL
);
CREATE INDEX events_by_subject ON events (subject, sequence);
CREATE INDEX events_by_kind ON events (kind, sequence);
-- One row: the newest event, so that a cut tail is found too.
CREATE TABLE event_head (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  sequence BIGINT NOT NULL,
  digest TEXT NOT NULL
);
-- An index of events.used and events.generated; it can be rebuilt from them.
CREATE TABLE event_refs (
  ref TEXT NOT NULL,
  role TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (ref, role, sequence)
){clustered};
CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  job_key TEXT UNIQUE,
  arguments TEXT NOT NULL,
  state TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  not_before_micros BIGINT NOT NULL,
  worker TEXT,
  fence BIGINT NOT NULL,
  expires_micros BIGINT,
  result TEXT,
  created_micros BIGINT NOT NULL
);
CREATE INDEX jobs_to_take ON jobs (state, kind, not_before_micros);
-- How far each reader of the outbox has come.
CREATE TABLE subscriptions (
  reader TEXT PRIMARY KEY,
  sequence BIGINT NOT NULL
);
