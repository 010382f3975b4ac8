// SPDX-License-Identifier: MIT

//! The command line that all the servers have.

use std::error::Error;

#[derive(Clone, Copy)]
pub enum Work {
    Echo,
    Sink,
    Source,
    Both,
}

#[derive(Clone)]
pub struct Options {
    pub cert: String,
    pub key: String,
    pub work: Work,
    pub size: usize,
    pub port: u16,
}

impl Options {
    pub fn parse() -> Result<Options, Box<dyn Error>> {
        let mut options = Options {
            cert: String::new(),
            key: String::new(),
            work: Work::Echo,
            size: 65536,
            port: 0,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{} needs a value", name))?;
            match name.as_str() {
                "--cert" => options.cert = value,
                "--key" => options.key = value,
                "--work" => options.work = parse_work(&value)?,
                "--size" => options.size = value.parse()?,
                "--port" => options.port = value.parse()?,
                _ => return Err(format!("{}: no such option", name).into()),
            }
        }
        Ok(options)
    }
}

fn parse_work(name: &str) -> Result<Work, Box<dyn Error>> {
    match name {
        "echo" => Ok(Work::Echo),
        "sink" => Ok(Work::Sink),
        "source" => Ok(Work::Source),
        "both" => Ok(Work::Both),
        _ => Err(format!("{}: no such work", name).into()),
    }
}
