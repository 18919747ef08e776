-- Experiments, runs, metrics, logged models and the artifact tree.
-- A shelf is an experiment's live runs (twice its id) or its deleted ones (twice its id plus one):
-- every index that a search walks begins with it, so deleted runs cost a search nothing.
CREATE TABLE experiments (
  id {serial},
  name TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  artifact_uri TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  updated_ms BIGINT NOT NULL,
  tags TEXT NOT NULL
);
-- Keys of metrics ("m:loss"), parameters ("p:rate") and tags ("t:owner") as small integers.
CREATE TABLE fields (
  id {serial},
  name TEXT NOT NULL UNIQUE
);
CREATE TABLE runs (
  id {serial},
  uuid TEXT NOT NULL UNIQUE,
  experiment BIGINT NOT NULL REFERENCES experiments (id),
  shelf BIGINT NOT NULL,
  name TEXT NOT NULL,
  user_id TEXT NOT NULL,
  status TEXT NOT NULL,
  start_ms BIGINT NOT NULL,
  end_ms BIGINT,
  seen_ms BIGINT,
  artifact_uri TEXT NOT NULL,
  document TEXT NOT NULL
);
CREATE INDEX runs_newest ON runs (shelf, start_ms DESC, uuid);
CREATE INDEX runs_by_name ON runs (shelf, name);
CREATE INDEX runs_by_status ON runs (shelf, status);
CREATE INDEX runs_alive ON runs (seen_ms) WHERE seen_ms IS NOT NULL;
-- Parameters and tags once more, one row each, to search by.
CREATE TABLE run_terms (
  run BIGINT NOT NULL,
  field BIGINT NOT NULL,
  shelf BIGINT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run, field)
){clustered};
-- PostgreSQL refuses index entries over 2704 bytes, so values are indexed by their beginning.
CREATE INDEX run_terms_by_value ON run_terms (shelf, field, substr(value, 1, 64), run);
CREATE TABLE metrics (
  run BIGINT NOT NULL,
  field BIGINT NOT NULL,
  step BIGINT NOT NULL,
  time_ms BIGINT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  nan SMALLINT NOT NULL,
  PRIMARY KEY (run, field, step, time_ms, value, nan)
){clustered};
-- Of each metric of a run the greatest (step, time, value): what a search compares and sorts by.
CREATE TABLE latest (
  run BIGINT NOT NULL,
  field BIGINT NOT NULL,
  shelf BIGINT NOT NULL,
  start_ms BIGINT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  nan SMALLINT NOT NULL,
  step BIGINT NOT NULL,
  time_ms BIGINT NOT NULL,
  PRIMARY KEY (run, field)
){clustered};
CREATE INDEX latest_by_value ON latest (shelf, field, nan, value, start_ms, run);
CREATE TABLE datasets (
  id {serial},
  experiment BIGINT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  source_type TEXT NOT NULL,
  source TEXT NOT NULL,
  schema TEXT NOT NULL,
  profile TEXT NOT NULL,
  UNIQUE (experiment, name, digest)
);
CREATE TABLE run_datasets (
  run BIGINT NOT NULL,
  dataset BIGINT NOT NULL,
  context TEXT NOT NULL,
  tags TEXT NOT NULL,
  PRIMARY KEY (run, dataset)
){clustered};
CREATE INDEX run_datasets_by_dataset ON run_datasets (dataset, run);
CREATE TABLE run_models (
  run BIGINT NOT NULL,
  role TEXT NOT NULL,
  model TEXT NOT NULL,
  step BIGINT NOT NULL,
  PRIMARY KEY (run, role, model)
){clustered};
CREATE TABLE logged_models (
  id TEXT PRIMARY KEY,
  experiment BIGINT NOT NULL,
  state TEXT NOT NULL,
  created_ms BIGINT NOT NULL,
  document TEXT NOT NULL
);
CREATE INDEX logged_models_newest ON logged_models (experiment, state, created_ms);
CREATE TABLE model_metrics (
  model TEXT NOT NULL,
  field BIGINT NOT NULL,
  step BIGINT NOT NULL,
  time_ms BIGINT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  nan SMALLINT NOT NULL,
  run TEXT NOT NULL,
  dataset_name TEXT NOT NULL,
  dataset_digest TEXT NOT NULL,
  PRIMARY KEY (model, field, step, time_ms, value, nan, run, dataset_name, dataset_digest)
){clustered};
-- The tree of artifacts: a folder's entries, files with the address of their bytes.
CREATE TABLE artifacts (
  folder TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT,
  size_bytes BIGINT NOT NULL,
  changed_ms BIGINT NOT NULL,
  PRIMARY KEY (folder, name)
){clustered};
CREATE INDEX artifacts_by_digest ON artifacts (digest);
-- One row: what page tokens are signed with.
CREATE TABLE tracking_secret (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  secret TEXT NOT NULL
);
