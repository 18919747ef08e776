-- Windows of watching, with the rules each broke, and alerts.
CREATE TABLE windows (
  endpoint TEXT NOT NULL,
  start_micros BIGINT NOT NULL,
  end_micros BIGINT NOT NULL,
  document TEXT NOT NULL,
  breached TEXT NOT NULL,
  PRIMARY KEY (endpoint, start_micros)
){clustered};
CREATE TABLE alerts (
  id {serial},
  endpoint TEXT NOT NULL,
  monitor TEXT NOT NULL,
  severity TEXT NOT NULL,
  state TEXT NOT NULL,
  is_open INTEGER NOT NULL,
  opened_micros BIGINT NOT NULL,
  closed_micros BIGINT,
  observed DOUBLE PRECISION NOT NULL,
  wanted TEXT NOT NULL,
  reason TEXT NOT NULL
);
CREATE INDEX alerts_by_endpoint ON alerts (endpoint, id);
CREATE UNIQUE INDEX alerts_one_open ON alerts (endpoint, monitor) WHERE is_open = 1;
