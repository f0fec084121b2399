// Huawei's own SDK against KMS: the judge of our fake of it.
//
//	huawei-go seal REGION:KEY              encrypts a data key, prints what KMS returns
//	huawei-go open REGION:KEY ENCRYPTED    decrypts; fails unless 32 bytes come out
//
// Credentials, project and addresses are those that the SDK finds by itself.
package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"strings"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/provider"
	kms "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/kms/v2"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/kms/v2/model"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/kms/v2/region"
)

func connect(name string) (*kms.KmsClient, error) {
	credentials, err := provider.BasicCredentialProviderChain().GetCredentials()
	if err != nil {
		return nil, err
	}
	place, err := region.SafeValueOf(name)
	if err != nil {
		return nil, err
	}
	client, err := core.NewHcHttpClientBuilder().WithCredential(credentials).WithRegion(place).SafeBuild()
	if err != nil {
		return nil, err
	}
	return kms.NewKmsClient(client), nil
}

func seal(client *kms.KmsClient, key string) error {
	part := make([]byte, 32)
	if _, err := rand.Read(part); err != nil {
		return err
	}
	body := model.EncryptDataRequestBody{KeyId: key, PlainText: base64.StdEncoding.EncodeToString(part)}
	answer, err := client.EncryptData(&model.EncryptDataRequest{Body: &body})
	if err != nil {
		return err
	}
	if answer.CipherText == nil || answer.KeyId == nil || *answer.KeyId != key {
		return fmt.Errorf("no ciphertext, or another key")
	}
	fmt.Println(*answer.CipherText)
	return nil
}

func open(client *kms.KmsClient, key, encrypted string) error {
	algorithm := model.GetDecryptDataRequestBodyEncryptionAlgorithmEnum().SYMMETRIC_DEFAULT
	body := model.DecryptDataRequestBody{CipherText: encrypted, KeyId: &key, EncryptionAlgorithm: &algorithm}
	answer, err := client.DecryptData(&model.DecryptDataRequest{Body: &body})
	if err != nil {
		return err
	}
	if answer.PlainText == nil {
		return fmt.Errorf("no plaintext")
	}
	part, err := base64.StdEncoding.DecodeString(*answer.PlainText)
	if err == nil && len(part) != 32 {
		err = fmt.Errorf("%d bytes came out", len(part))
	}
	return err
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("seal or open, and a key")
	}
	place, key, _ := strings.Cut(arguments[1], ":")
	client, err := connect(place)
	if err != nil {
		return err
	}
	switch {
	case arguments[0] == "seal":
		return seal(client, key)
	case arguments[0] == "open" && len(arguments) == 3:
		return open(client, key, arguments[2])
	}
	return fmt.Errorf("seal or open, and a key")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
