-- Every order gets the next seat of its event.
insert into orders (event, seat) select ?1, 1 + coalesce(max(seat), 0) from orders where event = ?1
