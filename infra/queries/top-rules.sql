-- Top rules
-- Which rules alert most, and how urgently: candidates for a wider cool-down or another zone.
WITH once AS (
  SELECT *, row_number() OVER (PARTITION BY alert_id ORDER BY day) AS copy FROM alerts
  WHERE day >= date_format(current_date - interval '30' day, '%Y-%m-%d')
)
SELECT application, rule, severity, count(*) AS alerts, count(DISTINCT device) AS devices
FROM once WHERE copy = 1
GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 50
