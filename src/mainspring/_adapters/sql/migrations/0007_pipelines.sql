-- Executions of pipelines; results of steps by their key.
CREATE TABLE executions (
  id TEXT PRIMARY KEY,
  pipeline TEXT NOT NULL,
  caller_key TEXT NOT NULL,
  parameters TEXT NOT NULL,
  state TEXT NOT NULL,
  started_micros BIGINT NOT NULL,
  ended_micros BIGINT,
  error TEXT NOT NULL
);
CREATE INDEX executions_by_pipeline ON executions (pipeline, caller_key, id);
CREATE TABLE step_results (
  step_key TEXT PRIMARY KEY,
  result TEXT NOT NULL
);
CREATE TABLE step_runs (
  execution TEXT NOT NULL,
  number BIGINT NOT NULL,
  name TEXT NOT NULL,
  step_key TEXT NOT NULL,
  state TEXT NOT NULL,
  cached INTEGER NOT NULL,
  seconds DOUBLE PRECISION NOT NULL,
  result TEXT,
  error TEXT NOT NULL,
  PRIMARY KEY (execution, number)
);
