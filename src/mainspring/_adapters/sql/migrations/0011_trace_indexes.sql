-- Ways to the few traces that a condition names, so that a search need not walk all of them.
CREATE INDEX traces_by_state ON traces (experiment, state, start_ms DESC, uuid);
CREATE INDEX traces_by_duration ON traces (experiment, duration_ms);
CREATE INDEX traces_by_client ON traces (substr(client_id, 1, 64)) WHERE client_id <> '';
CREATE INDEX spans_by_name ON spans (substr(name, 1, 64), trace);
CREATE INDEX spans_by_type ON spans (substr(type, 1, 64), trace);
CREATE INDEX spans_failed ON spans (trace) WHERE status = 'ERROR';
CREATE INDEX assessments_by_value ON assessments (kind, name, substr(value, 1, 64), trace);
CREATE INDEX assessments_by_number ON assessments (kind, name, number, trace);
