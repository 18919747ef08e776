-- Models, their versions, aliases and the histories of both.
CREATE TABLE models (
  id {serial},
  name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  description TEXT NOT NULL,
  created_micros BIGINT NOT NULL,
  updated_micros BIGINT NOT NULL,
  deleted_micros BIGINT,
  purged INTEGER NOT NULL
);
-- Names that differ only in case or compatibility form are one; deleted models do not hold them.
CREATE UNIQUE INDEX models_live_name ON models (name_key) WHERE deleted_micros IS NULL;
CREATE INDEX models_by_name ON models (name, id);
CREATE INDEX models_by_update ON models (updated_micros, name, id);
CREATE INDEX models_by_creation ON models (created_micros, name, id);
-- Every name ever used, the model that used it last, and the highest number given under it.
CREATE TABLE model_names (
  name TEXT PRIMARY KEY,
  model_id BIGINT NOT NULL,
  last_number BIGINT NOT NULL
){clustered};
CREATE TABLE model_tags (
  model_id BIGINT NOT NULL,
  tag TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (model_id, tag)
){clustered};
-- Values may be long; an index entry may not.
CREATE INDEX model_tags_by_value ON model_tags (tag, substr(value, 1, 64), model_id);
CREATE TABLE model_versions (
  model_id BIGINT NOT NULL,
  number BIGINT NOT NULL,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  stage TEXT NOT NULL,
  readiness TEXT NOT NULL,
  readiness_message TEXT NOT NULL,
  package TEXT,
  facts TEXT,
  signature TEXT,
  registered_as TEXT NOT NULL,
  source TEXT NOT NULL,
  run_id TEXT NOT NULL,
  run_link TEXT NOT NULL,
  logged_model_id TEXT NOT NULL,
  created_by TEXT NOT NULL,
  description TEXT NOT NULL,
  version_key TEXT,
  created_micros BIGINT NOT NULL,
  updated_micros BIGINT NOT NULL,
  deleted_micros BIGINT,
  PRIMARY KEY (model_id, number)
){clustered};
CREATE UNIQUE INDEX model_versions_once ON model_versions (model_id, version_key);
CREATE INDEX model_versions_by_run ON model_versions (run_id, model_id, number);
CREATE INDEX model_versions_by_update ON model_versions (updated_micros, model_id, number);
CREATE INDEX model_versions_by_creation ON model_versions (created_micros, model_id, number);
CREATE INDEX model_versions_by_stage ON model_versions (model_id, stage, number);
CREATE INDEX model_versions_by_source ON model_versions (substr(source, 1, 64), model_id, number);
CREATE INDEX model_versions_by_package ON model_versions (package);
CREATE TABLE version_tags (
  model_id BIGINT NOT NULL,
  number BIGINT NOT NULL,
  tag TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (model_id, number, tag)
){clustered};
CREATE INDEX version_tags_by_value ON version_tags (tag, substr(value, 1, 64), model_id, number);
CREATE TABLE version_changes (
  model_id BIGINT NOT NULL,
  number BIGINT NOT NULL,
  event_sequence BIGINT NOT NULL,
  field TEXT NOT NULL,
  before_value TEXT NOT NULL,
  after_value TEXT NOT NULL,
  time_micros BIGINT NOT NULL,
  actor TEXT NOT NULL,
  why TEXT NOT NULL,
  evidence TEXT NOT NULL,
  PRIMARY KEY (model_id, number, event_sequence)
){clustered};
-- A removed alias keeps its row, so that its revision never starts again.
CREATE TABLE model_aliases (
  model_id BIGINT NOT NULL,
  alias TEXT NOT NULL,
  number BIGINT,
  revision BIGINT NOT NULL,
  PRIMARY KEY (model_id, alias)
){clustered};
CREATE INDEX model_aliases_by_version ON model_aliases (model_id, number);
CREATE TABLE alias_moves (
  model_id BIGINT NOT NULL,
  alias TEXT NOT NULL,
  revision BIGINT NOT NULL,
  before_number BIGINT,
  after_number BIGINT,
  time_micros BIGINT NOT NULL,
  actor TEXT NOT NULL,
  why TEXT NOT NULL,
  evidence TEXT NOT NULL,
  event_sequence BIGINT NOT NULL,
  PRIMARY KEY (model_id, alias, revision)
){clustered};
CREATE INDEX alias_moves_by_time ON alias_moves (model_id, alias, time_micros, revision)
