// SPDX-License-Identifier: MIT

//! The server with tokio-rustls: a task a connection, on tokio's current_thread runtime. rustls has
//! no OpenSSL in it: its cryptography is ring's.

mod options;

use options::{Options, Work};
use std::{error::Error, fs::File, io, io::BufReader, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::rustls::{
    cipher_suite, kx_group, version, Certificate, PrivateKey, ServerConfig, Ticketer,
};
use tokio_rustls::{server::TlsStream, TlsAcceptor};

const ECHO_BUFFER_SIZE: usize = 16384;
const BACKLOG: u32 = 4096;

async fn echo(peer: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let mut buffer = vec![0; ECHO_BUFFER_SIZE];
    loop {
        let count = peer.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        peer.write_all(&buffer[..count]).await?;
        peer.flush().await?; // rustls may hold back what the socket did not take
    }
}

async fn sink<R: AsyncRead + Unpin>(peer: &mut R, size: usize) -> io::Result<()> {
    let mut buffer = vec![0; size];
    while peer.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn source<W: AsyncWrite + Unpin>(peer: &mut W, size: usize) -> io::Result<()> {
    let buffer = vec![0; size];
    loop {
        peer.write_all(&buffer).await?;
    }
}

async fn both(peer: TlsStream<TcpStream>, size: usize) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(peer);
    tokio::try_join!(sink(&mut reader, size), source(&mut writer, size)).map(|_| ())
}

async fn serve(socket: TcpStream, tls: TlsAcceptor, options: Options) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut peer = tls.accept(socket).await?;
    match options.work {
        Work::Echo => echo(&mut peer).await?,
        Work::Sink => sink(&mut peer, options.size).await?,
        Work::Source => source(&mut peer, options.size).await?,
        Work::Both => return both(peer, options.size).await,
    }
    peer.shutdown().await
}

fn read_key(path: &str) -> Result<PrivateKey, Box<dyn Error>> {
    for item in rustls_pemfile::read_all(&mut BufReader::new(File::open(path)?))? {
        match item {
            rustls_pemfile::Item::PKCS8Key(key) | rustls_pemfile::Item::ECKey(key) => {
                return Ok(PrivateKey(key))
            }
            _ => {}
        }
    }
    Err(format!("{}: no key", path).into())
}

fn make_acceptor(options: &Options) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = rustls_pemfile::certs(&mut BufReader::new(File::open(&options.cert)?))?;
    let mut config = ServerConfig::builder()
        .with_cipher_suites(&[
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        ])
        .with_kx_groups(&[&kx_group::X25519])
        .with_protocol_versions(&[&version::TLS12, &version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            chain.into_iter().map(Certificate).collect(),
            read_key(&options.key)?,
        )?;
    config.ticketer = Ticketer::new()?; // stateless tickets
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept_all(options: Options) -> Result<(), Box<dyn Error>> {
    let tls = make_acceptor(&options)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], options.port).into())?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(serve(socket, tls.clone(), options.clone()));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await, // no descriptors
        }
    }
}

extern "C" fn leave(_signal: libc::c_int) {
    unsafe { libc::_exit(0) }
}

/// Descriptors as many as allowed; SIGTERM ends with status 0.
fn prepare_process() {
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
        libc::signal(libc::SIGTERM, leave as libc::sighandler_t);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    prepare_process();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(accept_all(options))
}
