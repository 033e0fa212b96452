import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.util.Arrays;
import javax.crypto.Cipher;
import javax.crypto.CipherInputStream;
import javax.crypto.spec.IvParameterSpec;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.DEROctetString;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfo;
import org.bouncycastle.asn1.cms.DigestedData;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthenticatedData;
import org.bouncycastle.cms.CMSAuthenticatedDataGenerator;
import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSDigestedData;
import org.bouncycastle.cms.CMSEncryptedData;
import org.bouncycastle.cms.CMSEncryptedDataGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.jcajce.JceCMSMacCalculatorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeAuthenticatedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthenticatedRecipient;
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.InputDecryptor;
import org.bouncycastle.operator.MacCalculator;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

/** The content types that are neither signed nor enveloped. */
final class Contents {
    private final Peer peer;

    Contents(Peer peer) {
        this.peer = peer;
    }

    private static DigestCalculatorProvider digests() throws Exception {
        return new JcaDigestCalculatorProviderBuilder().setProvider(Peer.BC).build();
    }

    byte[] compress(byte[] content) throws Exception {
        return new CMSCompressedDataGenerator().generate(new CMSProcessableByteArray(content), new ZlibCompressor()).getEncoded();
    }

    byte[] expand(byte[] der) throws Exception {
        return new CMSCompressedData(der).getContent(new ZlibExpanderProvider(1 << 24));
    }

    byte[] authenticate(byte[] content) throws Exception {
        CMSAuthenticatedDataGenerator generator = new CMSAuthenticatedDataGenerator();
        for (RecipientInfoGenerator recipient : new Envelopes(peer).recipients()) {
            generator.addRecipientInfoGenerator(recipient);
        }
        MacCalculator mac = new JceCMSMacCalculatorBuilder(PKCSObjectIdentifiers.id_hmacWithSHA256).setProvider(Peer.BC).build();
        CMSProcessableByteArray in = new CMSProcessableByteArray(content);
        if (!peer.has("marked")) {
            return generator.generate(in, mac).getEncoded();
        }
        AlgorithmIdentifier sha256 = new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha256, DERNull.INSTANCE);
        return generator.generate(in, mac, digests().get(sha256)).getEncoded();
    }

    byte[] check(byte[] der) throws Exception {
        CMSAuthenticatedData message = new CMSAuthenticatedData(der, digests());
        String name = peer.who()[0];
        PrivateKey key = Peer.key(name);
        RecipientInformation found = Envelopes.find(message.getRecipientInfos(), name);
        byte[] content = found.getContent(Peer.kind(name).isEmpty() ? new JceKeyTransAuthenticatedRecipient(key).setProvider(Peer.BC)
            : new JceKeyAgreeAuthenticatedRecipient(key).setProvider(Peer.BC));
        if (!Arrays.equals(found.getMac(), message.getMac())) {
            throw new Exception("bad code");
        }
        if (message.getAuthAttrs() != null
            && !Arrays.equals(message.getContentDigest(), MessageDigest.getInstance("SHA-256").digest(content))) {
            throw new Exception("bad digest");
        }
        return content;
    }

    /** There is no generator for DigestedData: this fills in the structure. */
    byte[] digest(byte[] content) throws Exception {
        byte[] digest = MessageDigest.getInstance("SHA-256", Peer.BC).digest(content);
        return new ContentInfo(CMSObjectIdentifiers.digestedData, new DigestedData(
            new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha256), new ContentInfo(CMSObjectIdentifiers.data, new DEROctetString(content)), digest))
            .getEncoded("DER");
    }

    byte[] compare(byte[] der) throws Exception {
        CMSDigestedData message = new CMSDigestedData(der);
        if (!message.verify(digests())) {
            throw new Exception("bad digest");
        }
        return (byte[]) message.getDigestedContent().getContent();
    }

    byte[] lock(byte[] content) throws Exception {
        return new CMSEncryptedDataGenerator().generate(new CMSProcessableByteArray(content),
            Extra.load().encryptor(CMSAlgorithm.AES256_CBC, new Envelopes(peer).secret())).toASN1Structure().getEncoded();
    }

    /** Bouncy Castle takes a password or this: whatever deciphers with the key that the algorithm names. */
    byte[] unlock(byte[] der) throws Exception {
        return new CMSEncryptedData(ContentInfo.getInstance(der)).getContent(algorithm -> new InputDecryptor() {
            @Override
            public AlgorithmIdentifier getAlgorithmIdentifier() {
                return algorithm;
            }

            @Override
            public InputStream getInputStream(InputStream in) {
                try {
                    Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding", Peer.BC);
                    cipher.init(Cipher.DECRYPT_MODE, new Envelopes(peer).secret(),
                        new IvParameterSpec(ASN1OctetString.getInstance(algorithm.getParameters()).getOctets()));
                    return new ByteArrayInputStream(new CipherInputStream(in, cipher).readAllBytes());
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            }
        });
    }
}
