-- Waits, 90th percentile
-- By hour and queue: how many were served, and the worst minute's 90th percentile of their waits.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY report_id, insight ORDER BY day) AS copy FROM insights
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT date_trunc('hour', from_iso8601_timestamp(start_time)) AS hour, site, camera, insight,
  sum(CAST(json_extract_scalar(figures, '$.waits.count') AS bigint)) AS served,
  max(CAST(json_extract_scalar(figures, '$.waits.p90_s') AS double)) AS worst_p90_s
FROM once WHERE copy = 1 AND type = 'queue'
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC
