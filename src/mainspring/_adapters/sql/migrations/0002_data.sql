-- Versions of datasets, and builds of feature tables.
CREATE TABLE dataset_versions (
  dataset TEXT NOT NULL,
  version BIGINT NOT NULL,
  period TEXT NOT NULL,
  row_count BIGINT NOT NULL,
  digest TEXT NOT NULL,
  document TEXT NOT NULL,
  created_micros BIGINT NOT NULL,
  PRIMARY KEY (dataset, version)
){clustered};
-- The cleaned copy of a dataset's source, from which its periods are cut.
CREATE TABLE dataset_stages (
  dataset TEXT PRIMARY KEY,
  staged_table TEXT NOT NULL
){clustered};
CREATE TABLE feature_builds (
  feature_set TEXT NOT NULL,
  version BIGINT NOT NULL,
  definition TEXT NOT NULL,
  from_micros BIGINT,
  until_micros BIGINT,
  row_count BIGINT NOT NULL,
  document TEXT NOT NULL,
  created_micros BIGINT NOT NULL,
  PRIMARY KEY (feature_set, version)
){clustered};
