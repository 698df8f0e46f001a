-- Crossings per hour
-- How many went in and out over each line, hour by hour.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY report_id, insight ORDER BY day) AS copy FROM insights
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT date_trunc('hour', from_iso8601_timestamp(start_time)) AS hour, site, camera, insight,
  sum(CAST(json_extract_scalar(figures, '$.inward') AS bigint)) AS inward,
  sum(CAST(json_extract_scalar(figures, '$.outward') AS bigint)) AS outward
FROM once WHERE copy = 1 AND type = 'crossings'
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC
