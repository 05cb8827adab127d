"""Certificates for tests, made by the openssl command."""

import os
import ssl
import subprocess

KINDS = {
    "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ec384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "rsa": ["-newkey", "rsa:2048"],
    "ed25519": ["-newkey", "ed25519"],
}


OLD_CA = """[ca]
default_ca = old
[old]
database = {directory}/index
serial = {directory}/serial
new_certs_dir = {directory}
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def openssl(*args, **kwargs):
    return subprocess.run(["openssl", *args], check=True, capture_output=True, timeout=60, **kwargs)


class Pair:
    """A self-signed certificate and its key, as files. A name that is an address is one there too."""

    def __init__(self, directory, label, names, kind="ec", days=30, extensions=()):
        self.certificate = os.path.join(directory, f"{label}.cert.pem")
        self.key = os.path.join(directory, f"{label}.key.pem")
        san = ",".join(f"{'IP' if name[-1].isdigit() else 'DNS'}:{name}" for name in names)
        added = [arg for extension in (f"subjectAltName={san}", *extensions) for arg in ("-addext", extension)]
        old = os.umask(0o077)
        try:
            openssl("req", "-x509", *KINDS[kind], "-nodes", "-keyout", self.key, "-out", self.certificate,
                    "-days", str(days), "-subj", f"/CN={names[0]}", *added)
        finally:
            os.umask(old)

    def config(self, **more):
        return {"certificate": self.certificate, "key": self.key, **more}

    def replace_by(self, other):
        """As programs that renew certificates do: under the same name, at once."""
        os.replace(other.certificate, self.certificate)
        os.replace(other.key, self.key)

    def expire(self):
        """The same key and names, in a certificate of long ago."""
        directory = os.path.dirname(self.certificate)
        request, config = (os.path.join(directory, name) for name in ("request.pem", "ca.conf"))
        openssl("x509", "-x509toreq", "-in", self.certificate, "-signkey", self.key, "-out", request)
        for name, text in (("index", ""), ("serial", "01\n"), ("ca.conf", OLD_CA.format(directory=directory))):
            with open(os.path.join(directory, name), "w") as f:
                f.write(text)
        openssl("ca", "-batch", "-selfsign", "-config", config, "-keyfile", self.key, "-in", request, "-notext", "-out",
                self.certificate, "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")

    def fingerprint(self):
        with open(self.certificate) as f:
            return ssl.PEM_cert_to_DER_cert(f.read())


def context(trust=None, version=None):
    """A client's: trusts one pair, or everybody."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trust is None:
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
    else:
        c.load_verify_locations(trust.certificate)
    if version is not None:
        c.minimum_version = c.maximum_version = version
    return c
