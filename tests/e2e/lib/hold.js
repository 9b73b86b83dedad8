'use strict';
// The command that tests/stack runs for startStack: tells what it was given
// and keeps the gate up until its standard input ends, which it does when the
// test is done or dies.
process.stdout.write(JSON.stringify(process.env) + '\n');
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
