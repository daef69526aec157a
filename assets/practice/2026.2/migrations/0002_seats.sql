alter table orders add column seat integer;
update orders set seat =
    (select count(*) from orders as before where before.event = orders.event and before.id <= orders.id);
