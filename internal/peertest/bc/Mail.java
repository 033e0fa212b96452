import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.Properties;
import javax.mail.Session;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeBodyPart;
import javax.mail.internet.MimeMessage;
import javax.mail.internet.MimeMultipart;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.mail.smime.SMIMEEnveloped;
import org.bouncycastle.mail.smime.SMIMEEnvelopedGenerator;
import org.bouncycastle.mail.smime.SMIMESigned;
import org.bouncycastle.mail.smime.SMIMESignedGenerator;

/** Whole messages, by way of JavaMail. */
final class Mail {
    private final Peer peer;

    Mail(Peer peer) {
        this.peer = peer;
    }

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

    byte[] sign(byte[] entity) throws Exception {
        SMIMESignedGenerator generator = new SMIMESignedGenerator();
        Signatures signatures = new Signatures(peer);
        for (SignerInfoGenerator signer : signatures.signers()) {
            generator.addSignerInfoGenerator(signer);
        }
        generator.addCertificates(signatures.certificates());
        MimeMessage message = new MimeMessage(Session.getInstance(new Properties()));
        if (peer.has("opaque")) {
            MimeBodyPart wrapped = generator.generateEncapsulated(part(entity));
            message.setContent(wrapped.getContent(), wrapped.getContentType());
            for (String field : new String[] {"Content-Disposition", "Content-Transfer-Encoding", "Content-Description"}) {
                message.setHeader(field, wrapped.getHeader(field, null));
            }
        } else {
            MimeMultipart parts = generator.generate(part(entity));
            message.setContent(parts, parts.getContentType());
        }
        message.setFrom(new InternetAddress(peer.who()[0] + "@example.test"));
        message.setSubject("A message of a peer");
        return written(message);
    }

    byte[] verify(byte[] text) throws Exception {
        MimeMessage message = message(text);
        SMIMESigned signed = message.isMimeType("multipart/signed")
            ? new SMIMESigned((MimeMultipart) message.getContent())
            : new SMIMESigned(message);
        new Signatures(peer).check(signed.getSignerInfos(), signed.getCertificates());
        return written(signed.getContent());
    }

    byte[] encrypt(byte[] entity) throws Exception {
        Envelopes envelopes = new Envelopes(peer);
        SMIMEEnvelopedGenerator generator = new SMIMEEnvelopedGenerator();
        for (RecipientInfoGenerator recipient : envelopes.recipients()) {
            generator.addRecipientInfoGenerator(recipient);
        }
        MimeBodyPart wrapped = generator.generate(part(entity), envelopes.encryptor("aes256-cbc"));
        MimeMessage message = new MimeMessage(Session.getInstance(new Properties()));
        message.setContent(wrapped.getContent(), wrapped.getContentType());
        for (String field : new String[] {"Content-Disposition", "Content-Transfer-Encoding", "Content-Description"}) {
            message.setHeader(field, wrapped.getHeader(field, null));
        }
        return written(message);
    }

    byte[] decrypt(byte[] text) throws Exception {
        JceKeyTransEnvelopedRecipient reader = new JceKeyTransEnvelopedRecipient(Peer.key(peer.who()[0]));
        reader.setProvider(Peer.BC);
        return Envelopes.find(new SMIMEEnveloped(message(text)).getRecipientInfos(), peer.who()[0]).getContent(reader);
    }
}
