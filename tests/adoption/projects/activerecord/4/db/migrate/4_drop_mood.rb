class DropMood < ActiveRecord::Migration[6.1]
  def up
    remove_column :book, :mood
    execute "DROP TYPE mood"
  end
end
