-- Windows measured again when labels came late; the first measurement stays in windows.
CREATE TABLE measurements (
  endpoint TEXT NOT NULL,
  start_micros BIGINT NOT NULL,
  number INTEGER NOT NULL,
  measured_micros BIGINT NOT NULL,
  document TEXT NOT NULL,
  breached TEXT NOT NULL,
  PRIMARY KEY (endpoint, start_micros, number)
){clustered};
