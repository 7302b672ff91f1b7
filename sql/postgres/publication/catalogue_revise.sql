update publication.catalogue as old set revision = old.revision + least($2, 1), published_at = case
    when $2 > 0 then now() else old.published_at
end
where old.shop_id = $1
returning json_build_object('shop_domain', $3, 'revision', old.revision, 'changed', $2)::text
