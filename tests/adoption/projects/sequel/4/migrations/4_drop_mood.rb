Sequel.migration do
  up do
    drop_column :book, :mood
    run "DROP TYPE mood"
  end
end
