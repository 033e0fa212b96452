import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.crypto.SecretKey;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.KEMRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMRecipientId;
import org.bouncycastle.cms.jcajce.JceKEMRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordAuthEnvelopedRecipient;
import org.bouncycastle.operator.OutputEncryptor;

/** What Bouncy Castle has learnt since 1.72. */
final class Newer extends Extra {
    @Override
    ASN1ObjectIdentifier hkdf(String digest) {
        return digest.equals("SHA-512") ? CMSAlgorithm.ECDH_HKDF_SHA512 : CMSAlgorithm.ECDH_HKDF_SHA256;
    }

    @Override
    void bind(JceCMSContentEncryptorBuilder builder) {
        builder.setEnableSha256HKdf(true);
    }

    @Override
    RecipientInfoGenerator encapsulation(X509Certificate to) throws Exception {
        return new JceKEMRecipientInfoGenerator(to, CMSAlgorithm.AES256_WRAP).setKDF(CMSAlgorithm.SHA256_HKDF).setProvider(Peer.BC);
    }

    @Override
    List<RecipientId> ids(X509Certificate certificate) {
        try {
            return List.of(new JceKEMRecipientId(certificate), new KEMRecipientId(Peer.keyIdentifier(certificate)));
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    Recipient decapsulation(PrivateKey key, boolean aead) {
        return aead ? new JceKEMAuthEnvelopedRecipient(key).setProvider(Peer.BC) : new JceKEMEnvelopedRecipient(key).setProvider(Peer.BC);
    }

    @Override
    Recipient agreement(PrivateKey key) {
        return new JceKeyAgreeAuthEnvelopedRecipient(key).setProvider(Peer.BC);
    }

    @Override
    Recipient secretReader(SecretKey key) {
        return new JceKEKAuthEnvelopedRecipient(key).setProvider(Peer.BC);
    }

    @Override
    Recipient passwordReader(char[] password) {
        return new JcePasswordAuthEnvelopedRecipient(password).setProvider(Peer.BC);
    }

    @Override
    OutputEncryptor encryptor(ASN1ObjectIdentifier cipher, SecretKey key) throws Exception {
        return new JceCMSContentEncryptorBuilder(cipher).setProvider(Peer.BC).build(key);
    }
}
