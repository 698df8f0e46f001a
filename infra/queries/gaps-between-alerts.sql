-- Gaps between alerts
-- The longest time that each camera gave no alert: a camera that sees nothing any more, or a quiet place.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY day) AS copy FROM alerts
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT site, device, camera, max(gap_h) AS longest_gap_h, count(*) AS alerts
FROM (SELECT *, date_diff('minute', lag(from_iso8601_timestamp(time)) OVER
    (PARTITION BY device, camera ORDER BY time), from_iso8601_timestamp(time)) / 60.0 AS gap_h
  FROM once WHERE copy = 1)
GROUP BY 1, 2, 3 ORDER BY 4 DESC
