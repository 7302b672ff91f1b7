-- Revisions are only added; what held at a past time stays readable.
insert into configuration.macrodata_artifact (artifact_id, revision, kind, shop_domain, product_type, body, valid_from)
values ($1, $2, 'objective_specification', $3, $4, $5::json, ($5::json ->> 'valid_from')::timestamptz)
