Sequel.migration do
  up do
    alter_table(:book) do
      drop_foreign_key :author_id
    end
    drop_table :author
  end
end
