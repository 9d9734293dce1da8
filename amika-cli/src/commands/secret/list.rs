//! `amika secret list`.

use crate::App;
use crate::commands::remote::Server;
use crate::error::Result;
use crate::output::Table;

pub(super) async fn run(server: &Server, app: &App) -> Result<()> {
    let secrets = server.secrets().await?;
    app.out.result(&secrets, |out| {
        let mut table = Table::new(["NAME", "SCOPE", "DESCRIPTION", "CHANGED"]);
        for secret in &secrets {
            table.row(vec![
                secret.name.clone(),
                secret.scope.clone(),
                secret.description.clone().unwrap_or_default(),
                crate::commands::remote::age(&secret.updated_at),
            ]);
        }
        table.write(out)
    })
}
