import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;
import javax.mail.Session;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSCompressedData;
import org.bouncycastle.cms.CMSCompressedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.CMSSignedDataParser;
import org.bouncycastle.cms.CMSSignedDataStreamGenerator;
import org.bouncycastle.cms.CMSSignedGenerator;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.KeyTransRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
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
import org.bouncycastle.cms.jcajce.ZlibCompressor;
import org.bouncycastle.cms.jcajce.ZlibExpanderProvider;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.mail.smime.SMIMEEnveloped;
import org.bouncycastle.mail.smime.SMIMEEnvelopedGenerator;
import org.bouncycastle.mail.smime.SMIMESigned;
import org.bouncycastle.mail.smime.SMIMESignedGenerator;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.Store;
import org.bouncycastle.util.encoders.Hex;

/**
 * Bouncy Castle as a peer. It runs in the folder of the lab's PKI and answers one request a line, as long as there are any:
 * a verb and key=value words separated by spaces. The answer is one line, "ok" or "no" and the reason.
 * Data travels in files that the keys in, out and content name.
 */
public final class Peer {
    private static final String BC = "BC";

    private final Map<String, String> request;
    private byte[] result;

    private Peer(Map<String, String> request) {
        this.request = request;
    }

    public static void main(String[] args) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        System.out.println("ok " + Security.getProvider(BC).getVersionStr());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(answer(line));
        }
    }

    private static String answer(String line) {
        String[] words = line.split(" ");
        Map<String, String> request = new HashMap<>();
        for (String word : words) {
            int eq = word.indexOf('=');
            request.put(eq < 0 ? word : word.substring(0, eq), eq < 0 ? "" : word.substring(eq + 1));
        }
        try {
            Peer peer = new Peer(request);
            peer.perform(words[0]);
            Files.write(Path.of(request.get("out")), peer.result);
            return "ok";
        } catch (Throwable e) {
            return "no " + e.toString().replaceAll("\\s+", " ");
        }
    }

    private void perform(String verb) throws Exception {
        byte[] in = request.containsKey("in") ? Files.readAllBytes(Path.of(request.get("in"))) : new byte[0];
        switch (verb) {
            case "sign": result = sign(in); break;
            case "verify": result = verify(in); break;
            case "encrypt": result = encrypt(in); break;
            case "decrypt": result = decrypt(in); break;
            case "compress": result = compress(in); break;
            case "expand": result = expand(in); break;
            case "bundle": result = bundle(); break;
            case "unbundle": result = unbundle(in); break;
            case "signmail": result = signMail(in); break;
            case "verifymail": result = verifyMail(in); break;
            case "encryptmail": result = encryptMail(in); break;
            case "decryptmail": result = decryptMail(in); break;
            default: throw new Exception("unknown verb " + verb);
        }
    }

    private boolean has(String flag) {
        return request.containsKey(flag);
    }

    private String[] who() {
        return request.get("who").split(",");
    }

    private static byte[] pem(String file) throws Exception {
        StringBuilder text = new StringBuilder();
        for (String line : Files.readAllLines(Path.of(file))) {
            if (!line.startsWith("-----")) {
                text.append(line.trim());
            }
        }
        return Base64.getDecoder().decode(text.toString());
    }

    private static X509Certificate certificate(String name) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", BC)
            .generateCertificate(new ByteArrayInputStream(pem(name + ".pem")));
    }

    private static PrivateKey key(String name) throws Exception {
        String algorithm = name.endsWith("-ec") ? "EC" : name.endsWith("-ed") ? "Ed25519" : "RSA";
        return KeyFactory.getInstance(algorithm, BC).generatePrivate(new PKCS8EncodedKeySpec(pem(name + ".key")));
    }

    private static byte[] keyIdentifier(X509Certificate certificate) throws Exception {
        Extension extension = new JcaX509CertificateHolder(certificate).getExtension(Extension.subjectKeyIdentifier);
        return SubjectKeyIdentifier.getInstance(extension.getParsedValue()).getKeyIdentifier();
    }

    // --- SignedData

    private SignerInfoGenerator signer(String name) throws Exception {
        String scheme = request.get("digest") + "with" + (name.endsWith("-ec") ? "ECDSA" : has("pss") ? "RSAandMGF1" : "RSA");
        ContentSigner signer = new JcaContentSignerBuilder(name.endsWith("-ed") ? "Ed25519" : scheme).setProvider(BC).build(key(name));
        JcaSignerInfoGeneratorBuilder builder = new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider(BC).build());
        X509Certificate certificate = certificate(name);
        return has("keyid") ? builder.build(signer, keyIdentifier(certificate)) : builder.build(signer, certificate);
    }

    private void addSigners(CMSSignedGenerator generator) throws Exception {
        List<X509Certificate> certificates = new ArrayList<>();
        for (String name : who()) {
            generator.addSignerInfoGenerator(signer(name));
            certificates.add(certificate(name));
        }
        generator.addCertificates(new JcaCertStore(certificates));
    }

    private byte[] sign(byte[] content) throws Exception {
        boolean embed = !has("detached");
        if (!has("streamed")) {
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            addSigners(generator);
            return generator.generate(new CMSProcessableByteArray(content), embed).getEncoded("DER");
        }
        CMSSignedDataStreamGenerator generator = new CMSSignedDataStreamGenerator();
        generator.setBufferSize(4096);
        addSigners(generator);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (OutputStream body = generator.open(out, embed)) {
            body.write(content);
        }
        return out.toByteArray();
    }

    private byte[] verify(byte[] der) throws Exception {
        if (has("content")) {
            byte[] content = Files.readAllBytes(Path.of(request.get("content")));
            CMSSignedData detached = new CMSSignedData(new CMSProcessableByteArray(content), der);
            check(detached.getSignerInfos(), detached.getCertificates());
            return content;
        }
        if (has("streamed")) {
            CMSSignedDataParser parser = new CMSSignedDataParser(new JcaDigestCalculatorProviderBuilder().setProvider(BC).build(), der);
            byte[] content = parser.getSignedContent().getContentStream().readAllBytes();
            Store<X509CertificateHolder> certificates = parser.getCertificates();
            check(parser.getSignerInfos(), certificates);
            return content;
        }
        CMSSignedData opaque = new CMSSignedData(der);
        check(opaque.getSignerInfos(), opaque.getCertificates());
        return (byte[]) opaque.getSignedContent().getContent();
    }

    @SuppressWarnings("unchecked")
    private void check(SignerInformationStore signers, Store<X509CertificateHolder> certificates) throws Exception {
        if (signers.size() == 0 || has("signers") && signers.size() != Integer.parseInt(request.get("signers"))) {
            throw new Exception(signers.size() + " signers");
        }
        X509Certificate root = certificate("ca");
        for (SignerInformation signer : signers) {
            Collection<X509CertificateHolder> found = certificates.getMatches(signer.getSID());
            if (found.isEmpty()) { // NSS sends the same certificate twice
                throw new Exception("no certificate for a signer");
            }
            X509Certificate certificate = new JcaX509CertificateConverter().setProvider(BC).getCertificate(found.iterator().next());
            certificate.checkValidity();
            certificate.verify(root.getPublicKey(), BC);
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(BC).build(certificate))) {
                throw new Exception("bad signature");
            }
        }
    }

    private byte[] compress(byte[] content) throws Exception {
        return new CMSCompressedDataGenerator().generate(new CMSProcessableByteArray(content), new ZlibCompressor()).getEncoded();
    }

    private byte[] expand(byte[] der) throws Exception {
        return new CMSCompressedData(der).getContent(new ZlibExpanderProvider(1 << 24));
    }

    private byte[] bundle() throws Exception {
        List<X509Certificate> certificates = new ArrayList<>();
        for (String name : who()) {
            certificates.add(certificate(name));
        }
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addCertificates(new JcaCertStore(certificates));
        return generator.generate(new org.bouncycastle.cms.CMSAbsentContent()).getEncoded("DER");
    }

    private byte[] unbundle(byte[] der) throws Exception {
        List<byte[]> certificates = new ArrayList<>();
        Store<X509CertificateHolder> store = new CMSSignedData(der).getCertificates();
        for (X509CertificateHolder holder : store.getMatches(null)) {
            certificates.add(holder.getEncoded());
        }
        certificates.sort(Arrays::compareUnsigned);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] certificate : certificates) {
            out.write(certificate);
        }
        return out.toByteArray();
    }

    // --- EnvelopedData and AuthEnvelopedData

    /** One generator for each recipient, or the one of a shared secret. */
    private List<RecipientInfoGenerator> recipients() throws Exception {
        List<RecipientInfoGenerator> all = new ArrayList<>();
        if (has("secret")) {
            all.add(new JceKEKRecipientInfoGenerator(Hex.decode(request.get("secretid")), secret()).setProvider(BC));
            return all;
        }
        if (has("password")) {
            all.add(new JcePasswordRecipientInfoGenerator(CMSAlgorithm.AES256_CBC, request.get("password").toCharArray()).setProvider(BC));
            return all;
        }
        for (String name : who()) {
            all.add(recipient(name));
        }
        return all;
    }

    private SecretKeySpec secret() {
        return new SecretKeySpec(Hex.decode(request.get("secret")), "AES");
    }

    private RecipientInfoGenerator recipient(String name) throws Exception {
        X509Certificate certificate = certificate(name);
        if (name.endsWith("-ec")) {
            KeyPairGenerator pairs = KeyPairGenerator.getInstance("EC", BC);
            pairs.initialize(new ECGenParameterSpec("P-256"));
            return agreement(certificate, pairs.generateKeyPair(), CMSAlgorithm.ECDH_SHA256KDF, CMSAlgorithm.AES256_WRAP);
        }
        if (has("keyid")) {
            return new JceKeyTransRecipientInfoGenerator(keyIdentifier(certificate), certificate.getPublicKey()).setProvider(BC);
        }
        if (!has("oaep")) {
            return new JceKeyTransRecipientInfoGenerator(certificate).setProvider(BC);
        }
        String digest = request.get("oaep");
        AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter().getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP,
            new OAEPParameterSpec(digest, "MGF1", new MGF1ParameterSpec(digest), PSource.PSpecified.DEFAULT));
        return new JceKeyTransRecipientInfoGenerator(certificate, oaep).setProvider(BC);
    }

    private static RecipientInfoGenerator agreement(X509Certificate to, KeyPair ours, ASN1ObjectIdentifier scheme, ASN1ObjectIdentifier wrap)
        throws Exception {
        return new JceKeyAgreeRecipientInfoGenerator(scheme, ours.getPrivate(), ours.getPublic(), wrap).addRecipient(to).setProvider(BC);
    }

    private static OutputEncryptor encryptor(String cipher) throws Exception {
        Map<String, ASN1ObjectIdentifier> ciphers = Map.of(
            "aes128-cbc", CMSAlgorithm.AES128_CBC, "aes192-cbc", CMSAlgorithm.AES192_CBC, "aes256-cbc", CMSAlgorithm.AES256_CBC,
            "aes128-gcm", CMSAlgorithm.AES128_GCM, "aes192-gcm", CMSAlgorithm.AES192_GCM, "aes256-gcm", CMSAlgorithm.AES256_GCM);
        return new JceCMSContentEncryptorBuilder(ciphers.get(cipher)).setProvider(BC).build();
    }

    private byte[] encrypt(byte[] content) throws Exception {
        OutputEncryptor encryptor = encryptor(request.get("cipher"));
        if (has("gcm")) {
            CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
            for (RecipientInfoGenerator recipient : recipients()) {
                generator.addRecipientInfoGenerator(recipient);
            }
            return generator.generate(new CMSProcessableByteArray(content), (OutputAEADEncryptor) encryptor)
                .toASN1Structure().getEncoded(has("streamed") ? "BER" : "DER"); // 1.72 has no generator that streams it, but writes the same shape
        }
        if (has("streamed")) {
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

    private byte[] decrypt(byte[] der) throws Exception {
        if (has("secret")) {
            return only(der).getContent(new JceKEKEnvelopedRecipient(secret()).setProvider(BC));
        }
        if (has("password")) {
            return only(der).getContent(new JcePasswordEnvelopedRecipient(request.get("password").toCharArray()).setProvider(BC));
        }
        String name = who()[0];
        boolean agreed = name.endsWith("-ec");
        PrivateKey key = key(name);
        if (has("gcm")) {
            RecipientInformation found = find(new CMSAuthEnvelopedData(der).getRecipientInfos(), name);
            return found.getContent(new JceKeyTransAuthEnvelopedRecipient(key).setProvider(BC));
        }
        RecipientInformation found = find(new CMSEnvelopedDataParser(der).getRecipientInfos(), name);
        Recipient reader = agreed ? new JceKeyAgreeEnvelopedRecipient(key).setProvider(BC) : new JceKeyTransEnvelopedRecipient(key).setProvider(BC);
        return found.getContentStream(reader).getContentStream().readAllBytes();
    }

    private static RecipientInformation only(byte[] der) throws Exception {
        RecipientInformationStore recipients = new CMSEnvelopedDataParser(der).getRecipientInfos();
        if (recipients.size() != 1) {
            throw new Exception(recipients.size() + " recipients");
        }
        return recipients.iterator().next();
    }

    private static RecipientInformation find(RecipientInformationStore recipients, String name) throws Exception {
        X509Certificate certificate = certificate(name);
        RecipientId[] ids = {
            new JceKeyTransRecipientId(certificate), new KeyTransRecipientId(keyIdentifier(certificate)),
            new JceKeyAgreeRecipientId(certificate), new KeyAgreeRecipientId(keyIdentifier(certificate)),
        };
        for (RecipientId id : ids) {
            RecipientInformation found = recipients.get(id);
            if (found != null) {
                return found;
            }
        }
        throw new Exception("no recipient");
    }

    // --- messages

    private static MimeBodyPart part(byte[] entity) throws Exception {
        return new MimeBodyPart(new ByteArrayInputStream(entity));
    }

    private static MimeMessage message(byte[] text) throws Exception {
        return new MimeMessage(Session.getInstance(new Properties()), new ByteArrayInputStream(text));
    }

    private static byte[] written(MimeMessage message) throws Exception {
        message.saveChanges();
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        message.writeTo(out);
        return out.toByteArray();
    }

    private static byte[] written(MimeBodyPart part) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        part.writeTo(out);
        return out.toByteArray();
    }

    private byte[] signMail(byte[] entity) throws Exception {
        SMIMESignedGenerator generator = new SMIMESignedGenerator();
        List<X509Certificate> certificates = new ArrayList<>();
        for (String name : who()) {
            generator.addSignerInfoGenerator(signer(name));
            certificates.add(certificate(name));
        }
        generator.addCertificates(new JcaCertStore(certificates));
        MimeMessage message = new MimeMessage(Session.getInstance(new Properties()));
        if (has("opaque")) {
            MimeBodyPart wrapped = generator.generateEncapsulated(part(entity));
            message.setContent(wrapped.getContent(), wrapped.getContentType());
            for (String field : new String[] {"Content-Disposition", "Content-Transfer-Encoding", "Content-Description"}) {
                message.setHeader(field, wrapped.getHeader(field, null));
            }
        } else {
            MimeMultipart parts = generator.generate(part(entity));
            message.setContent(parts, parts.getContentType());
        }
        message.setFrom(new InternetAddress(who()[0] + "@example.test"));
        message.setSubject("A message of a peer");
        return written(message);
    }

    private byte[] verifyMail(byte[] text) throws Exception {
        MimeMessage message = message(text);
        SMIMESigned signed = message.isMimeType("multipart/signed")
            ? new SMIMESigned((MimeMultipart) message.getContent())
            : new SMIMESigned(message);
        check(signed.getSignerInfos(), signed.getCertificates());
        return written(signed.getContent());
    }

    private byte[] encryptMail(byte[] entity) throws Exception {
        SMIMEEnvelopedGenerator generator = new SMIMEEnvelopedGenerator();
        for (RecipientInfoGenerator recipient : recipients()) {
            generator.addRecipientInfoGenerator(recipient);
        }
        MimeBodyPart wrapped = generator.generate(part(entity), encryptor("aes256-cbc"));
        MimeMessage message = new MimeMessage(Session.getInstance(new Properties()));
        message.setContent(wrapped.getContent(), wrapped.getContentType());
        for (String field : new String[] {"Content-Disposition", "Content-Transfer-Encoding", "Content-Description"}) {
            message.setHeader(field, wrapped.getHeader(field, null));
        }
        return written(message);
    }

    private byte[] decryptMail(byte[] text) throws Exception {
        JceKeyTransEnvelopedRecipient reader = new JceKeyTransEnvelopedRecipient(key(who()[0]));
        reader.setProvider(BC);
        return find(new SMIMEEnveloped(message(text)).getRecipientInfos(), who()[0]).getContent(reader);
    }
}
