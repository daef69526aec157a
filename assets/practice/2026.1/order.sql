insert into orders (event) values (?1)
