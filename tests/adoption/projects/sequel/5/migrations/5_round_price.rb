Sequel.migration do
  up do
    set_column_type :book, :price, Integer
  end
end
