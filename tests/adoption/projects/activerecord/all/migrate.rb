require_relative "connect"

ActiveRecord::MigrationContext.new("db/migrate", ActiveRecord::SchemaMigration).migrate
