// Package sync carries certificates from one place to another and keeps them in step: from
// Active Directory or OpenLDAP into a database, from a folder into a directory of one's
// own. It is to this SDK what Entra Connect is to Exchange Online.
//
// A [Source] tells what changed since it was last asked; package ldapstore has sources for
// Active Directory and OpenLDAP, [FromStore] makes one of any store that can be read from
// end to end. A [Target] keeps what arrives, and in the same step the cursor of the
// source; package sqlstore is one, [ToWriter] makes one of any writable store and a state
// file. A [Syncer] connects the two: it decides what is worth carrying, and reports every
// change and every refusal with its reason.
//
// # Crashes
//
// The cursor moves in the same transaction as the data it stands for. A run that is
// interrupted anywhere, by a signal, an error or a power cut, is simply started again:
// nothing is lost, and nothing is done twice.
//
// # Memory
//
// A run holds one batch at a time; it does not grow with the directory.
package sync
