import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.util.List;
import javax.crypto.SecretKey;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.operator.OutputEncryptor;

/** What Bouncy Castle 1.72 has not: the class Newer, which is compiled where the library is newer, has it. */
class Extra {
    static Extra load() {
        try {
            return (Extra) Class.forName("Newer").getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            return new Extra();
        }
    }

    private static RuntimeException missing() {
        return new UnsupportedOperationException("this version has no such thing");
    }

    /** The scheme of a key agreement with HKDF (RFC 8418, Section 2.2). */
    ASN1ObjectIdentifier hkdf(String digest) {
        throw missing();
    }

    /** Binds the content key to the cipher (RFC 9709). */
    void bind(JceCMSContentEncryptorBuilder builder) {
        throw missing();
    }

    RecipientInfoGenerator encapsulation(X509Certificate to) throws Exception {
        throw missing();
    }

    List<RecipientId> ids(X509Certificate certificate) {
        return List.of();
    }

    Recipient decapsulation(PrivateKey key, boolean aead) {
        throw missing();
    }

    Recipient agreement(PrivateKey key) {
        throw missing();
    }

    Recipient secretReader(SecretKey key) {
        throw missing();
    }

    Recipient passwordReader(char[] password) {
        throw missing();
    }

    OutputEncryptor encryptor(ASN1ObjectIdentifier cipher, SecretKey key) throws Exception {
        throw missing();
    }
}
