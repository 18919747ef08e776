-- The points of a metric in the order of its history. Single points come as rows; many at once, and
-- rows once there are enough of them, lie packed in blocks that never overlap each other.
CREATE TABLE metric_rows (
  run BIGINT NOT NULL,
  field BIGINT NOT NULL,
  time_ms BIGINT NOT NULL,
  step BIGINT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  nan SMALLINT NOT NULL,
  PRIMARY KEY (run, field, time_ms, step, value, nan)
){clustered};
CREATE TABLE metric_blocks (
  id {serial},
  run BIGINT NOT NULL,
  field BIGINT NOT NULL,
  first_ms BIGINT NOT NULL,
  first_step BIGINT NOT NULL,
  first_value DOUBLE PRECISION NOT NULL,
  first_nan SMALLINT NOT NULL,
  last_ms BIGINT NOT NULL,
  last_step BIGINT NOT NULL,
  last_value DOUBLE PRECISION NOT NULL,
  last_nan SMALLINT NOT NULL,
  points BIGINT NOT NULL,
  data {blob} NOT NULL
);
CREATE UNIQUE INDEX metric_blocks_in_order
  ON metric_blocks (run, field, first_ms, first_step, first_value, first_nan);
INSERT INTO metric_rows (run, field, time_ms, step, value, nan)
  SELECT run, field, time_ms, step, value, nan FROM metrics;
DROP TABLE metrics;
