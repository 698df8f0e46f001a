-- Delay from picture to account
-- Seconds between a picture and the arrival of its alert, by device: uplinks that are slow or were away.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY day) AS copy FROM alerts
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT site, device, count(*) AS alerts, approx_percentile(delay_s, 0.5) AS p50_s,
  approx_percentile(delay_s, 0.99) AS p99_s, max(delay_s) AS longest_s
FROM (SELECT *, date_diff('millisecond', from_iso8601_timestamp(time), from_iso8601_timestamp(received)) / 1000.0 AS delay_s
  FROM once WHERE copy = 1)
GROUP BY 1, 2 ORDER BY 5 DESC
