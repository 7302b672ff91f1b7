-- What was told under a domain that a shop had names the same customers: who asks by it to be forgotten is forgotten here too.
alter table commerce.shop add column former_domains text[] not null default '{}';
comment on column commerce.shop.former_domains is 'Domains under which it was registered before; a request about a customer that names one is done, nothing else is [IAO: identifier]';
