SELECT NULL AS problem, name AS pending
  FROM pg_settings WHERE pending_restart
UNION ALL
SELECT 'line ' || line_number || ' of pg_hba.conf: ' || error, NULL
  FROM pg_hba_file_rules WHERE error IS NOT NULL
UNION ALL
SELECT name || ': ' || error, NULL
  FROM pg_file_settings WHERE error IS NOT NULL AND error <> 'setting could not be applied'
