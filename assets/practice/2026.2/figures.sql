select count(*) as orders, count(seat) as seats from orders
