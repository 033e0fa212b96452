import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERSequence;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.cms.CMSAttributes;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.KeyTransRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientId;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.util.encoders.Hex;

/** EnvelopedData and AuthEnvelopedData. */
final class Envelopes {
    private final Peer peer;
    private final Extra extra = Extra.load();

    Envelopes(Peer peer) {
        this.peer = peer;
    }

    /** One generator for each recipient, or the one of a shared secret. */
    List<RecipientInfoGenerator> recipients() throws Exception {
        List<RecipientInfoGenerator> all = new ArrayList<>();
        if (peer.has("secret")) {
            all.add(new JceKEKRecipientInfoGenerator(Hex.decode(peer.get("secretid")), secret()).setProvider(Peer.BC));
            return all;
        }
        if (peer.has("password")) {
            all.add(new JcePasswordRecipientInfoGenerator(CMSAlgorithm.AES256_CBC, password()).setProvider(Peer.BC));
            return all;
        }
        for (String name : peer.who()) {
            all.add(recipient(name));
        }
        return all;
    }

    SecretKeySpec secret() {
        return new SecretKeySpec(Hex.decode(peer.get("secret")), "AES");
    }

    private char[] password() {
        return peer.get("password").toCharArray();
    }

    private RecipientInfoGenerator recipient(String name) throws Exception {
        X509Certificate certificate = Peer.certificate(name);
        switch (Peer.kind(name)) {
            case "ec": return agreement(certificate, pair("P-256"), CMSAlgorithm.ECDH_SHA256KDF);
            case "p384": return agreement(certificate, pair("P-384"), CMSAlgorithm.ECDH_SHA384KDF);
            case "p521": return agreement(certificate, pair("P-521"), CMSAlgorithm.ECDH_SHA512KDF);
            case "x25519": return agreement(certificate, KeyPairGenerator.getInstance("X25519", Peer.BC).generateKeyPair(), extra.hkdf("SHA-256"));
            case "x448": return agreement(certificate, KeyPairGenerator.getInstance("X448", Peer.BC).generateKeyPair(), extra.hkdf("SHA-512"));
            case "": break;
            default: return extra.encapsulation(certificate);
        }
        if (peer.has("keyid")) {
            return new JceKeyTransRecipientInfoGenerator(Peer.keyIdentifier(certificate), certificate.getPublicKey()).setProvider(Peer.BC);
        }
        if (!peer.has("oaep")) {
            return new JceKeyTransRecipientInfoGenerator(certificate).setProvider(Peer.BC);
        }
        String mask = peer.get(peer.has("mask") ? "mask" : "oaep");
        PSource label = peer.has("label") ? new PSource.PSpecified(Hex.decode(peer.get("label"))) : PSource.PSpecified.DEFAULT;
        AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP,
            new OAEPParameterSpec(peer.get("oaep"), "MGF1", new MGF1ParameterSpec(mask), label));
        return new JceKeyTransRecipientInfoGenerator(certificate, oaep).setProvider(Peer.BC);
    }

    private static KeyPair pair(String curve) throws Exception {
        KeyPairGenerator pairs = KeyPairGenerator.getInstance("EC", Peer.BC);
        pairs.initialize(new ECGenParameterSpec(curve));
        return pairs.generateKeyPair();
    }

    private RecipientInfoGenerator agreement(X509Certificate to, KeyPair ours, ASN1ObjectIdentifier scheme) throws Exception {
        Map<String, ASN1ObjectIdentifier> schemes = Map.of(
            "sha1", CMSAlgorithm.ECDH_SHA1KDF, "sha224", CMSAlgorithm.ECDH_SHA224KDF, "sha384", CMSAlgorithm.ECDH_SHA384KDF,
            "sha512", CMSAlgorithm.ECDH_SHA512KDF, "cofactor-sha1", CMSAlgorithm.ECCDH_SHA1KDF, "cofactor-sha224", CMSAlgorithm.ECCDH_SHA224KDF,
            "cofactor-sha256", CMSAlgorithm.ECCDH_SHA256KDF, "cofactor-sha384", CMSAlgorithm.ECCDH_SHA384KDF,
            "cofactor-sha512", CMSAlgorithm.ECCDH_SHA512KDF);
        if (peer.has("kdf")) {
            scheme = schemes.get(peer.get("kdf"));
        }
        boolean small = peer.has("cipher") && peer.get("cipher").startsWith("aes128");
        JceKeyAgreeRecipientInfoGenerator generator = new JceKeyAgreeRecipientInfoGenerator(scheme, ours.getPrivate(), ours.getPublic(),
            small ? CMSAlgorithm.AES128_WRAP : CMSAlgorithm.AES256_WRAP);
        if (peer.has("keyid")) {
            generator.addRecipient(Peer.keyIdentifier(to), to.getPublicKey());
        } else {
            generator.addRecipient(to);
        }
        return generator.setProvider(Peer.BC);
    }

    OutputEncryptor encryptor(String cipher) throws Exception {
        Map<String, ASN1ObjectIdentifier> ciphers = Map.ofEntries(
            Map.entry("aes128-cbc", CMSAlgorithm.AES128_CBC), Map.entry("aes192-cbc", CMSAlgorithm.AES192_CBC), Map.entry("aes256-cbc", CMSAlgorithm.AES256_CBC),
            Map.entry("aes128-gcm", CMSAlgorithm.AES128_GCM), Map.entry("aes192-gcm", CMSAlgorithm.AES192_GCM), Map.entry("aes256-gcm", CMSAlgorithm.AES256_GCM),
            Map.entry("aes128-ccm", CMSAlgorithm.AES128_CCM), Map.entry("aes192-ccm", CMSAlgorithm.AES192_CCM), Map.entry("aes256-ccm", CMSAlgorithm.AES256_CCM),
            Map.entry("chacha20-poly1305", PKCSObjectIdentifiers.id_alg_AEADChaCha20Poly1305),
            Map.entry("3des-cbc", CMSAlgorithm.DES_EDE3_CBC), Map.entry("des-cbc", CMSAlgorithm.DES_CBC), Map.entry("rc2-cbc", CMSAlgorithm.RC2_CBC));
        JceCMSContentEncryptorBuilder builder = cipher.equals("rc2-cbc")
            ? new JceCMSContentEncryptorBuilder(ciphers.get(cipher), 128) : new JceCMSContentEncryptorBuilder(ciphers.get(cipher));
        if (peer.has("derived")) {
            extra.bind(builder);
        }
        return builder.setProvider(Peer.BC).build();
    }

    byte[] encrypt(byte[] content) throws Exception {
        OutputEncryptor encryptor = encryptor(peer.get("cipher"));
        if (peer.has("aead")) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            for (RecipientInfoGenerator recipient : recipients()) {
                generator.addRecipientInfoGenerator(recipient);
            }
            if (peer.has("marked")) {
                generator.setAuthenticatedAttributeGenerator(mark());
            }
            return generator.generate(new CMSProcessableByteArray(content), (OutputAEADEncryptor) encryptor)
                .toASN1Structure().getEncoded(peer.has("streamed") ? "BER" : "DER"); // 1.72 has no generator that streams it, but writes the same shape
        }
        if (peer.has("streamed")) {
            CMSEnvelopedDataStreamGenerator generator = new CMSEnvelopedDataStreamGenerator();
            generator.setBufferSize(4096);
            for (RecipientInfoGenerator recipient : recipients()) {
                generator.addRecipientInfoGenerator(recipient);
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try (OutputStream body = generator.open(out, encryptor)) {
                body.write(content);
            }
            return out.toByteArray();
        }
        CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
        for (RecipientInfoGenerator recipient : recipients()) {
            generator.addRecipientInfoGenerator(recipient);
        }
        return generator.generate(new CMSProcessableByteArray(content), encryptor).toASN1Structure().getEncoded("DER");
    }

    /** One attribute: a hint about the content (RFC 2634, Section 2.9). */
    static SimpleAttributeTableGenerator mark() {
        return new SimpleAttributeTableGenerator(new AttributeTable(
            new Attribute(CMSAttributes.contentHint, new DERSet(new DERSequence(new ASN1Encodable[] {new DERUTF8String("a hint"), CMSObjectIdentifiers.data})))));
    }

    byte[] decrypt(byte[] der) throws Exception {
        if (peer.has("aead")) {
            RecipientInformationStore recipients = new CMSAuthEnvelopedData(der).getRecipientInfos();
            if (peer.has("secret")) {
                return only(recipients).getContent(extra.secretReader(secret()));
            }
            if (peer.has("password")) {
                return only(recipients).getContent(extra.passwordReader(password()));
            }
            String name = peer.who()[0];
            PrivateKey key = Peer.key(name);
            return find(recipients, name).getContent(Peer.kind(name).isEmpty() ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider(Peer.BC)
                : Peer.kind(name).startsWith("mlkem") ? extra.decapsulation(key, true) : extra.agreement(key));
        }
        RecipientInformationStore recipients = new CMSEnvelopedDataParser(der).getRecipientInfos();
        if (peer.has("secret")) {
            return read(only(recipients), new JceKEKEnvelopedRecipient(secret()).setProvider(Peer.BC));
        }
        if (peer.has("password")) {
            return read(only(recipients), new JcePasswordEnvelopedRecipient(password()).setProvider(Peer.BC));
        }
        String name = peer.who()[0];
        PrivateKey key = Peer.key(name);
        return read(find(recipients, name), Peer.kind(name).isEmpty() ? new JceKeyTransEnvelopedRecipient(key).setProvider(Peer.BC)
            : Peer.kind(name).startsWith("mlkem") ? extra.decapsulation(key, false) : new JceKeyAgreeEnvelopedRecipient(key).setProvider(Peer.BC));
    }

    private static byte[] read(RecipientInformation found, Recipient reader) throws Exception {
        return found.getContentStream(reader).getContentStream().readAllBytes();
    }

    private static RecipientInformation only(RecipientInformationStore recipients) throws Exception {
        if (recipients.size() != 1) {
            throw new Exception(recipients.size() + " recipients");
        }
        return recipients.iterator().next();
    }

    static RecipientInformation find(RecipientInformationStore recipients, String name) throws Exception {
        X509Certificate certificate = Peer.certificate(name);
        List<RecipientId> ids = new ArrayList<>(List.of(
            new JceKeyTransRecipientId(certificate), new KeyTransRecipientId(Peer.keyIdentifier(certificate)),
            new JceKeyAgreeRecipientId(certificate), new KeyAgreeRecipientId(Peer.keyIdentifier(certificate))));
        ids.addAll(Extra.load().ids(certificate));
        for (RecipientId id : ids) {
            RecipientInformation found = recipients.get(id);
            if (found != null) {
                return found;
            }
        }
        throw new Exception("no recipient");
    }
}
