import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.security.cert.X509Certificate;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cms.CMSAbsentContent;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.CMSSignedDataParser;
import org.bouncycastle.cms.CMSSignedDataStreamGenerator;
import org.bouncycastle.cms.CMSSignedGenerator;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.SignerInformationStore;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.Store;

/** SignedData. */
final class Signatures {
    private final Peer peer;

    Signatures(Peer peer) {
        this.peer = peer;
    }

    private static DigestCalculatorProvider digests() throws Exception {
        return new JcaDigestCalculatorProviderBuilder().setProvider(Peer.BC).build();
    }

    private ContentSigner contentSigner(String name) throws Exception {
        String digest = peer.get("digest");
        String kind = Peer.kind(name);
        String scheme;
        switch (kind) {
            case "": scheme = digest + "with" + (!peer.has("pss") ? "RSA" : digest.startsWith("SHAKE") ? "RSAPSS" : "RSAandMGF1"); break;
            case "pss": scheme = digest + "withRSAandMGF1"; break;
            case "dsa": scheme = digest + "withDSA"; break;
            case "ed": scheme = "Ed25519"; break;
            case "ed448": scheme = "Ed448"; break;
            case "mldsa44": case "mldsa65": case "mldsa87": scheme = "ML-DSA-" + kind.substring(5); break;
            default: scheme = digest + "withECDSA";
        }
        JcaContentSignerBuilder builder = peer.has("longsalt")
            ? new JcaContentSignerBuilder(scheme, new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 256 - 32 - 2, 1))
            : new JcaContentSignerBuilder(scheme);
        return builder.setProvider(Peer.BC).build(Peer.key(name));
    }

    private SignerInfoGenerator signer(String name) throws Exception {
        JcaSignerInfoGeneratorBuilder builder = new JcaSignerInfoGeneratorBuilder(digests()).setDirectSignature(peer.has("bare"));
        X509Certificate certificate = Peer.certificate(name);
        ContentSigner signer = contentSigner(name);
        return peer.has("keyid") ? builder.build(signer, Peer.keyIdentifier(certificate)) : builder.build(signer, certificate);
    }

    /** All signers of the request and their certificates. */
    List<SignerInfoGenerator> signers() throws Exception {
        List<SignerInfoGenerator> all = new ArrayList<>();
        for (String name : peer.who()) {
            all.add(signer(name));
        }
        return all;
    }

    JcaCertStore certificates() throws Exception {
        List<X509Certificate> all = new ArrayList<>();
        for (String name : peer.who()) {
            all.add(Peer.certificate(name));
        }
        return new JcaCertStore(all);
    }

    private void addSigners(CMSSignedGenerator generator) throws Exception {
        for (SignerInfoGenerator signer : signers()) {
            generator.addSignerInfoGenerator(signer);
        }
        generator.addCertificates(certificates());
    }

    byte[] sign(byte[] content) throws Exception {
        boolean embed = !peer.has("detached");
        if (!peer.has("streamed")) {
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

    byte[] verify(byte[] der) throws Exception {
        if (peer.has("content")) {
            byte[] content = peer.file("content");
            CMSSignedData detached = new CMSSignedData(new CMSProcessableByteArray(content), der);
            check(detached.getSignerInfos(), detached.getCertificates());
            return content;
        }
        if (peer.has("streamed")) {
            CMSSignedDataParser parser = new CMSSignedDataParser(digests(), der);
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
    void check(SignerInformationStore signers, Store<X509CertificateHolder> certificates) throws Exception {
        if (signers.size() == 0 || peer.has("signers") && signers.size() != Integer.parseInt(peer.get("signers"))) {
            throw new Exception(signers.size() + " signers");
        }
        X509Certificate root = Peer.certificate("ca");
        for (SignerInformation signer : signers) {
            Collection<X509CertificateHolder> found = certificates.getMatches(signer.getSID());
            if (found.isEmpty()) { // NSS sends the same certificate twice
                throw new Exception("no certificate for a signer");
            }
            X509Certificate certificate = new JcaX509CertificateConverter().setProvider(Peer.BC).getCertificate(found.iterator().next());
            certificate.checkValidity();
            certificate.verify(root.getPublicKey(), Peer.BC);
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(Peer.BC).build(certificate))) {
                throw new Exception("bad signature");
            }
        }
    }

    byte[] bundle() throws Exception {
        CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
        generator.addCertificates(certificates());
        return generator.generate(new CMSAbsentContent()).getEncoded("DER");
    }

    byte[] unbundle(byte[] der) throws Exception {
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
}
