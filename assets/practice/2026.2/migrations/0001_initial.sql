create table orders (id integer primary key, event integer not null, at text not null default current_timestamp);
create table tasks (id integer primary key, queue text not null, name text not null, at real not null);
create table counters (name text primary key, value real not null);
