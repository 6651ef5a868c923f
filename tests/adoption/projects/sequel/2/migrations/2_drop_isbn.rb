Sequel.migration do
  up do
    alter_table(:book) do
      drop_index :isbn
      drop_constraint :book_isbn_key
      drop_column :isbn
    end
    drop_table :draft
  end
end
