Sequel.migration do
  up do
    run "CREATE TYPE mood AS ENUM ('calm', 'dark')"
    create_table(:author) do
      primary_key :id
      String :name, null: false
    end
    create_table(:book) do
      primary_key :id
      String :title, null: false
      BigDecimal :price, size: [10, 2]
      String :isbn, size: 20, default: "none", index: true
      column :mood, :mood, null: false
      foreign_key :author_id, :author
      unique [:isbn], name: :book_isbn_key
    end
    create_table(:draft) do
      primary_key :id
      foreign_key :book_id, :book
      String :body
    end
  end
end
