-- The statement computes any range of days; the window reaches back before its start, as the input range does.
select day, average
from (
  select
    day,
    avg(revenue) over (order by day range between interval 6 days preceding and current row) as average
  from {{table "daily_revenue"}}
  where day >= {{input_start "daily_revenue"}} and day < {{input_end "daily_revenue"}}
)
where day >= {{start}} and day < {{end}}
