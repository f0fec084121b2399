use std::time::Duration;

use anyhow::Result;
use sealops_testenv::{Moto, OpenBao, http_get};

#[test]
fn openbao_answers_and_refuses_a_wrong_token() -> Result<()> {
    let bao = OpenBao::start()?;
    let path = "/v1/secret/data/none";
    assert_eq!(http_get(bao.address(), path, &[("X-Vault-Token", OpenBao::ROOT_TOKEN)])?.status, 404);
    assert_eq!(http_get(bao.address(), path, &[("X-Vault-Token", "wrong")])?.status, 403);
    Ok(())
}

#[test]
fn moto_answers_and_counts_its_cost() -> Result<()> {
    let mut moto = Moto::start()?;
    assert!(http_get(moto.address(), "/moto-api/data.json", &[])?.body.contains('{'));
    assert!(moto.process().rss_bytes()? > 10 << 20);
    assert!(moto.process().cpu_time()? > Duration::ZERO);
    moto.process().terminate(Duration::from_secs(10))?;
    assert!(http_get(moto.address(), "/moto-api/data.json", &[]).is_err());
    Ok(())
}
