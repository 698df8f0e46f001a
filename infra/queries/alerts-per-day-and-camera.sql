-- Alerts per day and camera
-- How many alerts each camera gave on each of the last 30 days.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY day) AS copy FROM alerts
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT substr(time, 1, 10) AS on_day, site, device, camera, count(*) AS alerts
FROM once WHERE copy = 1
GROUP BY 1, 2, 3, 4 ORDER BY 1 DESC, 5 DESC
