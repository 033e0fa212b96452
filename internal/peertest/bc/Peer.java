import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.SubjectKeyIdentifier;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Bouncy Castle as a peer. It runs in the folder of the lab's PKI and answers one request a line, as long as there are any:
 * a verb and key=value words separated by spaces. The answer is one line, "ok" or "no" and the reason.
 * Data travels in files that the keys in, out and content name.
 */
public final class Peer {
    static final String BC = "BC";

    private final Map<String, String> request;

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
            Files.write(Path.of(request.get("out")), new Peer(request).perform(words[0]));
            return "ok";
        } catch (Throwable e) {
            Throwable why = e.getCause() == null ? e : e.getCause();
            return "no " + (e + ": " + why).replaceAll("\\s+", " ");
        }
    }

    private byte[] perform(String verb) throws Exception {
        byte[] in = has("in") ? file("in") : new byte[0];
        switch (verb) {
            case "sign": return new Signatures(this).sign(in);
            case "verify": return new Signatures(this).verify(in);
            case "bundle": return new Signatures(this).bundle();
            case "unbundle": return new Signatures(this).unbundle(in);
            case "encrypt": return new Envelopes(this).encrypt(in);
            case "decrypt": return new Envelopes(this).decrypt(in);
            case "authenticate": return new Contents(this).authenticate(in);
            case "check": return new Contents(this).check(in);
            case "compress": return new Contents(this).compress(in);
            case "expand": return new Contents(this).expand(in);
            case "digest": return new Contents(this).digest(in);
            case "compare": return new Contents(this).compare(in);
            case "lock": return new Contents(this).lock(in);
            case "unlock": return new Contents(this).unlock(in);
            case "signmail": return new Mail(this).sign(in);
            case "verifymail": return new Mail(this).verify(in);
            case "encryptmail": return new Mail(this).encrypt(in);
            case "decryptmail": return new Mail(this).decrypt(in);
            default: throw new Exception("unknown verb " + verb);
        }
    }

    boolean has(String flag) {
        return request.containsKey(flag);
    }

    String get(String name) {
        return request.get(name);
    }

    byte[] file(String name) throws Exception {
        return Files.readAllBytes(Path.of(request.get(name)));
    }

    String[] who() {
        return request.get("who").split(",");
    }

    /** The kind of key that somebody has: what follows the hyphen in the name. */
    static String kind(String name) {
        return name.contains("-") ? name.substring(name.indexOf('-') + 1) : "";
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

    static X509Certificate certificate(String name) throws Exception {
        return (X509Certificate) CertificateFactory.getInstance("X.509", BC)
            .generateCertificate(new ByteArrayInputStream(pem(name + ".pem")));
    }

    static PrivateKey key(String name) throws Exception {
        return BouncyCastleProvider.getPrivateKey(PrivateKeyInfo.getInstance(pem(name + ".key")));
    }

    static byte[] keyIdentifier(X509Certificate certificate) throws Exception {
        Extension extension = new JcaX509CertificateHolder(certificate).getExtension(Extension.subjectKeyIdentifier);
        return SubjectKeyIdentifier.getInstance(extension.getParsedValue()).getKeyIdentifier();
    }
}
