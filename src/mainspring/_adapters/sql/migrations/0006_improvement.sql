-- Attempts to replace a champion; each state is kept with its evidence in events.
CREATE TABLE challenges (
  id {serial},
  endpoint TEXT NOT NULL,
  model TEXT NOT NULL,
  cause TEXT NOT NULL,
  champion BIGINT NOT NULL,
  challenger BIGINT,
  state TEXT NOT NULL,
  step INTEGER NOT NULL,
  is_open INTEGER NOT NULL,
  opened_micros BIGINT NOT NULL,
  since_micros BIGINT NOT NULL,
  reason TEXT NOT NULL
);
CREATE INDEX challenges_by_endpoint ON challenges (endpoint, id);
CREATE UNIQUE INDEX challenges_one_open ON challenges (endpoint) WHERE is_open = 1;
