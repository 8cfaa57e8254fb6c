# All of Debian's certificate authorities in one file.
dpkg-deb -x $debs unpacked
mkdir -p $out/etc/ssl/certs
cat $(find unpacked/usr/share/ca-certificates -name '*.crt' | sort) > $out/etc/ssl/certs/ca-bundle.crt
