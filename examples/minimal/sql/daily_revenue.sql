select
  day,
  count(*) as orders,
  count(distinct customer) as customers,
  sum(cents) / 100.0 as revenue
from {{table "raw_orders"}}
where day >= {{start}} and day < {{end}}
group by day
