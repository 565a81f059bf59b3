//! Queues: what an entry is in ZooKeeper, and how its turn is found.

use std::hash::Hasher;

use futures::future::{join, join_all, select_all};
use steadfast_fencing::FencingToken;
use xxhash_rust::xxh3::Xxh3;
use zookeeper_client::{Client, CreateMode, Error as Fault, EventType, OneshotWatcher, Stat};

use super::ZooKeeper;
use super::link::session_id;
use super::names::{Child, escape, in_order, prefix, unescape};
use crate::limits::{LIST_MAX, QUEUE_ENTRIES_MAX};
use crate::port::{Entry, Error, Listing, Mode, Name, Place, Request, check_value};

/// How often a node is made again whose queue has vanished meanwhile: the server removes an empty
/// one about once a minute, so twice in a row is chance, and more is something else.
const ATTEMPTS: usize = 8;

/// Requests that are sent without waiting for the answer to the one before.
const AT_ONCE: usize = 128;

impl ZooKeeper {
    fn queue(&self, queue: &Name) -> String {
        format!("{}/q/{}", self.link.root(), escape(queue))
    }

    pub(super) async fn do_enter(
        &self,
        queue: &Name,
        request: Request<'_>,
    ) -> Result<Place, Error> {
        check_value("the value of an entry", request.value)?;
        let client = self.link.session(request.session).await?;
        let fault = |fault: Fault| self.link.session_fault(&fault, request.session);
        let path = self.queue(queue);
        let (before, _) = present(&client, &path).await.map_err(fault)?;
        // An answer may have been lost: then the node is there already.
        for child in before.iter().filter(|child| child.id == request.id) {
            let node = format!("{path}/{}", child.node);
            let stat = client.check_stat(&node).await.map_err(fault)?;
            let own = |stat: &Stat| session_id(stat.ephemeral_owner) == request.session;
            if let Some(stat) = stat.filter(own) {
                return self.entered(&client, queue, &path, request, child, &before, stat).await;
            }
        }
        if before.len() >= QUEUE_ENTRIES_MAX {
            return Err(Error::Full { what: "entries", limit: QUEUE_ENTRIES_MAX });
        }
        if !request.wait {
            let (_, ahead) =
                self.ahead(&client, &path, request.mode, &before).await.map_err(fault)?;
            if let Some(holder) = ahead {
                return Err(Error::Busy { name: queue.clone(), holder });
            }
        }
        let (child, stat, after) = self.make(&client, &path, &request).await?;
        self.entered(&client, queue, &path, request, &child, &after, stat).await
    }

    /// Makes the node of an entry, and reads the queue as it is then.
    async fn make(
        &self,
        client: &Client,
        path: &str,
        request: &Request<'_>,
    ) -> Result<(Child, Stat, Vec<Child>), Error> {
        let fault = |fault: Fault| self.link.session_fault(&fault, request.session);
        let start = format!("{path}/{}", prefix(request.mode, request.id));
        let options = self.link.making(CreateMode::EphemeralSequential);
        for _ in 0..ATTEMPTS {
            // One after the other on one connection: the listing has what was just made.
            let making = client.create(&start, request.value, &options);
            let listing = client.list_children(path);
            let (made, listed) = join(making, listing).await;
            match made {
                Ok((stat, sequence)) => {
                    let after = in_order(listed.map_err(fault)?);
                    // Not by its id: another session may have one with the same.
                    let node = format!("{}{sequence}", prefix(request.mode, request.id));
                    let own = after.iter().find(|child| child.node == node).cloned();
                    // Somebody may have removed it within these microseconds.
                    let own = own.ok_or_else(|| self.link.unavailable("the new entry is gone"))?;
                    return Ok((own, stat, after));
                }
                Err(Fault::NoNode) => self.make_queue(client, path).await.map_err(fault)?,
                Err(other) => return Err(fault(other)),
            }
        }
        Err(self.link.unavailable("the queue's node vanishes as soon as it is made"))
    }

    /// Makes a queue's node: one that the server removes when it is empty.
    async fn make_queue(&self, client: &Client, path: &str) -> Result<(), Fault> {
        let options = self.link.making(CreateMode::Container);
        match client.create(path, &[], &options).await {
            Err(Fault::NoNode) => self.link.make_roots(client).await,
            Ok(_) | Err(Fault::NodeExists) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// The answer to an entry that is in the queue; takes it out again if it must not wait.
    #[expect(clippy::too_many_arguments, reason = "one step of `do_enter`, with what that knows")]
    async fn entered(
        &self,
        client: &Client,
        queue: &Name,
        path: &str,
        request: Request<'_>,
        own: &Child,
        children: &[Child],
        stat: Stat,
    ) -> Result<Place, Error> {
        let fault = |fault: Fault| self.link.session_fault(&fault, request.session);
        let node = format!("{path}/{}", own.node);
        let token = self.token(&stat)?;
        self.seen.add(token, &node);
        let before = before(children, own);
        let (depth, ahead) = self.ahead(client, path, own.mode, before).await.map_err(fault)?;
        match ahead {
            Some(holder) if !request.wait => {
                remove(client, &node).await.map_err(fault)?;
                self.seen.remove(token);
                Err(Error::Busy { name: queue.clone(), holder })
            }
            None if !still_there(client, &node, own, before).await.map_err(fault)? => {
                self.seen.remove(token);
                Err(self.link.unavailable("the new entry is gone"))
            }
            ahead => Ok(Place { token, ahead, depth }),
        }
    }

    /// How many of those before an entry of a mode block it, and which of them is nearest.
    async fn ahead(
        &self,
        client: &Client,
        path: &str,
        mode: Mode,
        before: &[Child],
    ) -> Result<(u32, Option<FencingToken>), Fault> {
        let mut blocking: Vec<&Child> =
            before.iter().filter(|child| mode.waits_for(child.mode)).collect();
        while let Some(nearest) = blocking.last() {
            let node = format!("{path}/{}", nearest.node);
            if let Some(token) = client.check_stat(&node).await?.and_then(|stat| token(&stat)) {
                self.seen.add(token, &node);
                let depth = u32::try_from(blocking.len()).unwrap_or(u32::MAX);
                return Ok((depth, Some(token)));
            }
            // It has left since.
            blocking.pop();
        }
        Ok((0, None))
    }

    pub(super) async fn do_place(&self, queue: &Name, token: FencingToken) -> Result<Place, Error> {
        let over = || Error::Over { name: queue.clone(), token };
        let fault = |fault: Fault| self.link.fault(&fault);
        let client = self.link.shared().await?;
        let path = self.queue(queue);
        let node = self.find(&client, &path, token).await.map_err(fault)?.ok_or_else(over)?;
        let (children, _) = present(&client, &path).await.map_err(fault)?;
        let own = children.iter().find(|child| node.ends_with(&child.node));
        let Some(own) = own else {
            self.seen.remove(token);
            return Err(over());
        };
        let before = before(&children, own);
        let (depth, ahead) = self.ahead(&client, &path, own.mode, before).await.map_err(fault)?;
        if ahead.is_none() && !still_there(&client, &node, own, before).await.map_err(fault)? {
            self.seen.remove(token);
            return Err(over());
        }
        Ok(Place { token, ahead, depth })
    }

    pub(super) async fn do_gone(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
        let fault = |fault: Fault| self.link.fault(&fault);
        let _permit = self.watch(1)?;
        let client = self.link.shared().await?;
        let path = self.queue(queue);
        let Some(node) = self.find(&client, &path, token).await.map_err(fault)? else {
            return Ok(());
        };
        loop {
            let (stat, watcher) = client.check_and_watch_stat(&node).await.map_err(fault)?;
            if stat.is_none() {
                self.seen.remove(token);
                return Ok(());
            }
            match watcher.changed().await.event_type {
                EventType::NodeDeleted => {
                    self.seen.remove(token);
                    return Ok(());
                }
                // The connection's session has ended, and the watch with it.
                EventType::Session => {
                    return Err(self.link.unavailable("the connection that waited has ended"));
                }
                // Its value has changed.
                _ => {}
            }
        }
    }

    pub(super) async fn do_leave(&self, queue: &Name, token: FencingToken) -> Result<(), Error> {
        let fault = |fault: Fault| self.link.fault(&fault);
        let client = self.link.shared().await?;
        let path = self.queue(queue);
        if let Some(node) = self.find(&client, &path, token).await.map_err(fault)? {
            remove(&client, &node).await.map_err(fault)?;
            self.seen.remove(token);
        }
        Ok(())
    }

    pub(super) async fn do_set(
        &self,
        queue: &Name,
        token: FencingToken,
        value: &[u8],
    ) -> Result<(), Error> {
        check_value("the value of an entry", value)?;
        let over = || Error::Over { name: queue.clone(), token };
        let fault = |fault: Fault| self.link.fault(&fault);
        let client = self.link.shared().await?;
        let path = self.queue(queue);
        let node = self.find(&client, &path, token).await.map_err(fault)?.ok_or_else(over)?;
        match client.set_data(&node, value, None).await {
            Ok(_) => Ok(()),
            Err(Fault::NoNode) => Err(over()),
            Err(other) => Err(fault(other)),
        }
    }

    pub(super) async fn do_list(&self, queue: &Name, since: Option<u64>) -> Result<Listing, Error> {
        let fault = |fault: Fault| self.link.fault(&fault);
        let path = self.queue(queue);
        let _permit = since.map(|_| self.watch(LIST_MAX + 1)).transpose()?;
        loop {
            let client = self.link.shared().await?;
            let (listing, watchers) = if since.is_some() {
                self.look_and_watch(&client, &path).await.map_err(fault)?
            } else {
                (self.look(&client, &path).await.map_err(fault)?, Vec::new())
            };
            if since != Some(listing.version) {
                return Ok(listing);
            }
            let waits = watchers.into_iter().map(|watcher| Box::pin(watcher.changed()));
            let (event, _, _) = select_all(waits).await;
            if event.event_type == EventType::Session {
                return Err(self.link.unavailable("the connection that waited has ended"));
            }
        }
    }

    /// The queue now.
    async fn look(&self, client: &Client, path: &str) -> Result<Listing, Fault> {
        let (children, changed) = present(client, path).await?;
        let mut entries = Vec::new();
        for part in children[..children.len().min(LIST_MAX)].chunks(AT_ONCE) {
            let nodes: Vec<String> = part.iter().map(|c| format!("{path}/{}", c.node)).collect();
            let answers = join_all(nodes.iter().map(|node| client.get_data(node))).await;
            for ((child, node), answer) in part.iter().zip(&nodes).zip(answers) {
                entries.extend(self.seen_entry(child, node, answer)?);
            }
        }
        Ok(listing(&children, changed, entries))
    }

    /// The queue now, and what completes when it changes: one watch for the nodes, and one for the
    /// value of each. There is at least one.
    async fn look_and_watch(
        &self,
        client: &Client,
        path: &str,
    ) -> Result<(Listing, Vec<OneshotWatcher>), Fault> {
        let syncing = client.sync(path);
        let (synced, listed) = join(syncing, client.get_and_watch_children(path)).await;
        synced?;
        let (nodes, stat, watcher) = match listed {
            Ok(listed) => listed,
            Err(Fault::NoNode) => {
                let (_, watcher) = client.check_and_watch_stat(path).await?;
                // Whoever looks again finds it, should it have come meanwhile.
                let mut watchers = vec![watcher];
                if let Ok((_, watcher)) = client.list_and_watch_children(path).await {
                    watchers.push(watcher);
                }
                return Ok((self.look(client, path).await?, watchers));
            }
            Err(fault) => return Err(fault),
        };
        let children = in_order(nodes);
        let (mut entries, mut watchers) = (Vec::new(), vec![watcher]);
        for part in children[..children.len().min(LIST_MAX)].chunks(AT_ONCE) {
            let nodes: Vec<String> = part.iter().map(|c| format!("{path}/{}", c.node)).collect();
            let answers = join_all(nodes.iter().map(|node| client.get_and_watch_data(node))).await;
            for ((child, node), answer) in part.iter().zip(&nodes).zip(answers) {
                let answer = answer.map(|(value, stat, watcher)| {
                    watchers.push(watcher);
                    (value, stat)
                });
                entries.extend(self.seen_entry(child, node, answer)?);
            }
        }
        Ok((listing(&children, stat.pzxid, entries), watchers))
    }

    /// An entry and the transaction that changed it last; nothing when it has gone meanwhile.
    fn seen_entry(
        &self,
        child: &Child,
        node: &str,
        answer: Result<(Vec<u8>, Stat), Fault>,
    ) -> Result<Option<(Entry, i64)>, Fault> {
        let (value, stat) = match answer {
            Ok(answer) => answer,
            Err(Fault::NoNode) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let Some(token) = token(&stat) else {
            return Ok(None);
        };
        self.seen.add(token, node);
        let session = session_id(stat.ephemeral_owner);
        Ok(Some((Entry { token, session, mode: child.mode, value }, stat.mzxid)))
    }

    pub(super) async fn do_queues(&self, after: Option<&Name>) -> Result<Vec<Name>, Error> {
        let fault = |fault: Fault| self.link.fault(&fault);
        let client = self.link.shared().await?;
        let root = format!("{}/q", self.link.root());
        let nodes = match join(client.sync(&root), client.list_children(&root)).await {
            (Ok(()), Ok(nodes)) => nodes,
            (Ok(()), Err(Fault::NoNode)) => return Ok(Vec::new()),
            (Err(other), _) | (_, Err(other)) => return Err(fault(other)),
        };
        let mut names: Vec<(Name, String)> = nodes
            .into_iter()
            .filter_map(|node| Some((unescape(&node)?, format!("{root}/{node}"))))
            .filter(|(name, _)| after.is_none_or(|after| name > after))
            .collect();
        names.sort();
        let mut found = Vec::new();
        for part in names.chunks(AT_ONCE) {
            // An empty one stays for a while until the server removes it.
            let stats = join_all(part.iter().map(|(_, path)| client.check_stat(path))).await;
            for ((name, _), stat) in part.iter().zip(stats) {
                if stat.map_err(fault)?.is_some_and(|stat| stat.num_children > 0) {
                    found.push(name.clone());
                }
            }
            if found.len() >= LIST_MAX {
                found.truncate(LIST_MAX);
                break;
            }
        }
        Ok(found)
    }

    /// The path of the node with a token; `None` when there is none.
    async fn find(
        &self,
        client: &Client,
        path: &str,
        wanted: FencingToken,
    ) -> Result<Option<String>, Fault> {
        if let Some(node) = self.seen.path(path, wanted) {
            return Ok(Some(node.as_ref().to_owned()));
        }
        let (children, _) = present(client, path).await?;
        for part in children.chunks(AT_ONCE) {
            let nodes: Vec<String> = part.iter().map(|c| format!("{path}/{}", c.node)).collect();
            let stats = join_all(nodes.iter().map(|node| client.check_stat(node))).await;
            for (node, stat) in nodes.into_iter().zip(stats) {
                if let Some(token) = stat?.and_then(|stat| token(&stat)) {
                    self.seen.add(token, &node);
                    if token == wanted {
                        return Ok(Some(node));
                    }
                }
            }
        }
        Ok(None)
    }

    fn token(&self, stat: &Stat) -> Result<FencingToken, Error> {
        token(stat).ok_or_else(|| self.link.unavailable("the server made a node without a number"))
    }
}

/// The number of the transaction that made a node.
fn token(stat: &Stat) -> Option<FencingToken> {
    FencingToken::new(u64::try_from(stat.czxid).ok()?)
}

/// A queue's entries as of now, and the transaction that changed which there are; none and 0 when
/// there is no such queue.
///
/// A read alone is as old as the server that answers it likes. After a `sync` on the same
/// connection, it has all that the leader had decided when that passed through it.
async fn present(client: &Client, path: &str) -> Result<(Vec<Child>, i64), Fault> {
    let syncing = client.sync(path);
    let listing = client.get_children(path);
    let (synced, listed) = join(syncing, listing).await;
    synced?;
    match listed {
        Ok((nodes, stat)) => Ok((in_order(nodes), stat.pzxid)),
        Err(Fault::NoNode) => Ok((Vec::new(), 0)),
        Err(fault) => Err(fault),
    }
}

/// Whether an entry whose turn it seems to be is in the queue. If some stood before it when the queue
/// was read, they have left since, and it may have left before them: it is looked for once more, and
/// was first in the queue if it is still there.
async fn still_there(
    client: &Client,
    node: &str,
    own: &Child,
    before: &[Child],
) -> Result<bool, Fault> {
    if !before.iter().any(|child| own.mode.waits_for(child.mode)) {
        return Ok(true);
    }
    Ok(client.check_stat(node).await?.is_some())
}

/// Those that were there before an entry.
fn before<'a>(children: &'a [Child], own: &Child) -> &'a [Child] {
    let at = children.iter().position(|child| child.node == own.node);
    &children[..at.unwrap_or(children.len())]
}

/// Removes a node; that it is gone already is fine.
async fn remove(client: &Client, node: &str) -> Result<(), Fault> {
    match client.delete(node, None).await {
        Ok(()) | Err(Fault::NoNode) => Ok(()),
        Err(fault) => Err(fault),
    }
}

/// A listing, with a version made of the transaction that changed last which entries there are
/// (so that it is another one after somebody has come and gone), and of those that wrote them.
fn listing(children: &[Child], changed: i64, entries: Vec<(Entry, i64)>) -> Listing {
    let mut hash = Xxh3::new();
    hash.write_i64(changed);
    hash.write_usize(children.len());
    for (entry, written) in &entries {
        hash.write_u64(entry.token.get());
        hash.write_i64(*written);
    }
    let entries = entries.into_iter().map(|(entry, _)| entry).collect();
    Listing { version: hash.finish(), entries }
}
